"""How far rounding can take a tensor apart on two sides, and whether two tensors differ by more."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from impls.counted import counted, without_masks
from suites.equivalence.bounds import quantile, reach
from suites.equivalence.localise import worst

MASK_ROUNDINGS = 64  # of itself a mask may be off
HALF = 0.5  # of the digits: where rounding may take more of them, agreement says little


@dataclass(frozen=True)
class Difference:
    """One tensor that differs by more than rounding can: its worst element, and both norms relative to A's."""

    tensor: str
    index: tuple[int, ...] | None
    a: float
    b: float
    relative: float
    bound: float
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    steady: float = 0.0  # the bound by the side whose numbers rounding moves less, where it is not the other's float32

    def words(self) -> str:
        if self.index is None:
            return f"{self.tensor} has shape {self.shapes[0]} in A and {self.shapes[1]} in B"
        place = f"{self.tensor}[{', '.join(map(str, self.index))}]" if self.index else self.tensor
        size = f"the tensor differs by {self.relative:.1e} of its norm, rounding allows {self.bound:.1e}"
        return f"{place} is {self.a:.17g} in A and {self.b:.17g} in B ({size})"


@dataclass(frozen=True)
class Outcome:
    """One tensor compared: by how much of its bound it differs, and whether the bound is too wide to say anything."""

    tensor: str
    share: float
    difference: Difference | None
    condition: float  # the bound over the unit roundoff: how much the model magnifies a rounding error

    @property
    def numeric(self) -> bool:
        """Whether there is anything to compare: not NaN and masks alone, nor infinite by a rounding error."""
        return math.isfinite(self.condition)

    def blind(self, unit: float) -> bool:
        """Whether rounding alone could change more than half of the digits."""
        return bool(self.condition * unit > unit**HALF)


def bound_of(truth: np.ndarray, spreads: tuple[np.ndarray | None, np.ndarray | None], unit: float) -> float:
    """How far rounding on both sides can take a tensor, absolute; one rounding on each side at least."""
    floor = 2 * unit * float(np.linalg.norm(np.ravel(truth)))
    reaches = [scaled(products) for products in spreads if products is not None]
    if len(reaches) == 1:
        reaches = reaches * 2
    return floor + math.hypot(*reaches) if reaches else floor


def scaled(products: np.ndarray) -> float:
    """`reach`, of errors so small that powers of their squares would vanish, or of which hardly any is not zero.

    Infinite where rounding decides whether there is a number at all.
    """
    if not np.isfinite(products).all():
        return math.inf
    size = float(np.trace(products)) / len(products)
    if not size:
        return 0.0
    relative = products / size
    if not np.any(relative - np.diag(np.diag(relative))):
        return math.sqrt(size * quantile(1.0, len(products)))  # one number that varies: the widest of all
    return math.sqrt(size) * reach(relative)


def compare(
    name: str,
    ours: np.ndarray,
    theirs: np.ndarray,
    spreads: tuple[np.ndarray | None, np.ndarray | None],
    unit: float,
) -> Outcome:
    """A's tensor against B's in A's layout."""
    if ours.shape != theirs.shape:
        shapes = ours.shape, theirs.shape
        return Outcome(name, math.inf, Difference(name, None, math.nan, math.nan, math.inf, 0.0, shapes), 0.0)
    among = counted(ours)
    a, b = without_masks(ours, among), without_masks(theirs, among)
    norm = float(np.linalg.norm(np.ravel(a)))
    bound = bound_of(a, spreads, unit)
    condition = bound / unit / norm if norm else 0.0
    if not among.any() and among.size:
        condition = math.inf  # nothing but masks and what is no number
    if np.array_equal(ours, theirs, equal_nan=True):
        return Outcome(name, 0.0, None, condition)
    distance = float(np.linalg.norm(np.ravel(a.astype(float) - b)))
    masked = not same_masks(ours[~among], theirs[~among], unit)
    if distance <= bound and not masked:
        return Outcome(name, distance / bound, None, condition)
    index = farthest(ours, theirs)
    values = float(ours[index]), float(theirs[index])
    scale = norm or 1.0
    far = math.inf if masked else distance / scale
    sides = [spread for spread in spreads if spread is not None]
    steady = min((bound_of(a, (spread, None), unit) for spread in sides), default=bound)
    found = Difference(name, index, *values, far, bound / scale, (ours.shape, theirs.shape), steady / scale)
    return Outcome(name, distance / bound if bound else math.inf, found, condition)


def farthest(ours: np.ndarray, theirs: np.ndarray) -> tuple[int, ...]:
    """The index of the largest difference; what is no number on both sides is none."""
    if not ours.ndim:
        return ()
    both = (np.isnan(ours) & np.isnan(theirs)) | (ours == theirs)
    return worst(np.where(both, 0.0, ours), np.where(both, 0.0, theirs))


def same_masks(ours: np.ndarray, theirs: np.ndarray, unit: float) -> bool:
    """Whether two lists of masks, infinities and what is no number are the same."""
    odd = ~np.isfinite(ours)
    if not np.array_equal(ours[odd], theirs[odd], equal_nan=True) or not np.isfinite(theirs[~odd]).all():
        return False
    return bool((np.abs(ours[~odd] - theirs[~odd]) <= MASK_ROUNDINGS * unit * np.abs(ours[~odd])).all())
