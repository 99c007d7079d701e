"""Whether two arrays hold the same numbers in another order of axes, and which order it is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

IMAGES = {3: ((0, 2, 1),), 4: ((0, 2, 3, 1), (0, 3, 1, 2)), 5: ((0, 2, 3, 4, 1), (0, 4, 1, 2, 3))}
MOST = 6  # axes: of more, not all orders are tried


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """||ours - theirs|| / ||ours||; infinite where shapes differ or a value is finite on one side only."""
    if ours.shape != theirs.shape:
        return math.inf
    if "c" in (ours.dtype.kind, theirs.dtype.kind):
        return distance(*(np.stack([each.real, each.imag]) for each in (ours, theirs)))
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    odd = ~np.isfinite(a)
    if odd.any() or not np.isfinite(b).all():
        if not np.array_equal(a[odd], b[odd], equal_nan=True) or not np.isfinite(b[~odd]).all():
            return math.inf
        a, b = a[~odd], b[~odd]
    with np.errstate(over="ignore", invalid="ignore"):
        scale = float(np.linalg.norm(a.ravel())) or 1.0
        return float(np.linalg.norm((a - b).ravel())) / scale


def orders(array: np.ndarray, shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Orders of the axes that give `array` this shape: as it is, those of images, then any other."""
    axes = tuple(range(array.ndim))
    first = [axes, *IMAGES.get(array.ndim, ())]
    rest = itertools.permutations(axes) if array.ndim <= MOST else ()
    for order in dict.fromkeys(itertools.chain(first, rest)):
        if tuple(array.shape[axis] for axis in order) == shape:
            yield order


def like(theirs: np.ndarray, ours: np.ndarray, tolerance: float) -> np.ndarray | None:
    """`theirs` in the layout of `ours` if some order of axes, or another cut into axes, makes them agree; else None."""
    if theirs.size != ours.size:
        return None
    if theirs.shape == ours.shape and distance(ours, theirs) <= tolerance:
        return theirs
    slim_a = ours.reshape([n for n in ours.shape if n != 1])
    slim_b = theirs.reshape([n for n in theirs.shape if n != 1])
    for order in orders(slim_b, slim_a.shape):
        turned = slim_b.transpose(order)
        if distance(slim_a, turned) <= tolerance:
            return turned.reshape(ours.shape)
    if distance(ours.ravel(), theirs.ravel()) <= tolerance:
        return theirs.reshape(ours.shape)
    return None


def fit(theirs: np.ndarray, ours: np.ndarray, channels_first: bool) -> np.ndarray:
    """`theirs` in A's layout where both can be told apart by shape, or the usual one of images where B turns them.

    Of several orders that fit the nearest counts; without one, `theirs` as it is.
    """
    if theirs.size != ours.size:
        return theirs
    slim_a = ours.reshape([n for n in ours.shape if n != 1])
    slim_b = theirs.reshape([n for n in theirs.shape if n != 1])
    same = slim_b.shape == slim_a.shape
    allowed = list(orders(slim_b, slim_a.shape)) if not same else [tuple(range(slim_b.ndim))]
    if same and channels_first:
        allowed += IMAGES.get(slim_b.ndim, ())
    options = [slim_b.transpose(order) for order in allowed]
    options = [option for option in options if option.shape == slim_a.shape]
    if not options:
        return theirs
    best = min(options, key=lambda option: distance(slim_a, option))
    return best.reshape(ours.shape)


def near(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> bool:
    """Whether two arrays of one shape agree, roughly."""
    return distance(ours, theirs) <= tolerance


def aligned(ours: np.ndarray, theirs: np.ndarray, tolerance: float, merged: bool) -> bool:
    """Whether two arrays agree in some order of axes, or read straight through; `merged`: or where one merges axes."""
    if ours.size != theirs.size:
        return False
    if distance(ours.ravel(), theirs.ravel()) <= tolerance:
        return True
    slim_a = ours.reshape([n for n in ours.shape if n != 1])
    slim_b = theirs.reshape([n for n in theirs.shape if n != 1])
    if any(distance(slim_a, slim_b.transpose(order)) <= tolerance for order in orders(slim_b, slim_a.shape)):
        return True
    if not merged or slim_a.ndim == slim_b.ndim:
        return False
    many, few = (slim_a, slim_b) if slim_a.ndim > slim_b.ndim else (slim_b, slim_a)
    if many.ndim > MOST:
        return False
    turned = (many.transpose(order) for order in itertools.permutations(range(many.ndim)))
    return any(merges(part.shape, few.shape) and distance(few, part.reshape(few.shape)) <= tolerance for part in turned)


def merges(many: tuple[int, ...], few: tuple[int, ...]) -> bool:
    """Whether neighbouring axes of one shape, multiplied, give the other."""
    at = 0
    for extent in few:
        product = 1
        while product < extent and at < len(many):
            product *= many[at]
            at += 1
        if product != extent:
            return False
    return at == len(many)
