"""What turns one array into another one, measured and not guessed: an affine map, a power, a factor or an addend for
each place of an axis, a step of shift, what only a part of the places has.

Nothing here knows a function of any framework. The words say what was measured, in the places that it was measured on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from suites.port.hypotheses.causes import escaped, nice, short
from suites.port.hypotheses.question import Cause
from suites.port.layouts import orders

Array = np.ndarray
Judge = Callable[[Array], bool]
FEWEST = 3  # numbers for each one that is fitted: fewer would be met by chance
SHOWN = 4
STEPS = (1, -1, 2, -2)  # of a shift
EQUAL = 1e-9  # of the largest number: places that are the same
LAYOUTS = 4  # orders of the axes that are tried
KEPT_NUMBER = 1e-7  # relative: a fit that is as near to a round number as this is that number


class Relation(NamedTuple):
    """B's numbers as A's formula gives them, and the words for both sides."""

    found: Array
    signature: str
    subject: str
    a: str
    b: str

    def cause(self, subject: str) -> Cause:
        whole = f"{subject}{self.subject}"
        return Cause(self.signature, f"{escaped(whole)}: A {{a}}, B {{b}}", self.a, self.b)


def relation(a: Array, b: Array, agrees: Judge) -> Relation | None:
    """The first measured relation that gives B's numbers."""
    if a.dtype.kind != "f":
        return None
    with np.errstate(all="ignore"):
        for theirs in laid_alike(a, b):
            for measure in MEASURES:
                for found in measure(a, theirs):
                    if np.isfinite(found.found).all() and agrees(found.found):
                        return found
    return None


def partial_relation(a: Array, b: Array) -> Relation | None:
    """Where two results differ, and what stands there; None where they differ everywhere, or by no rule."""
    if a.dtype.kind != "f":
        return None
    return next((found for theirs in laid_alike(a, b) for found in in_part(a, theirs)), None)


def laid_alike(a: Array, b: Array) -> Iterator[Array]:
    """B's numbers in A's shape, by every order of axes that gives it."""
    if a.size != b.size or a.size < 2 or a.dtype.kind != b.dtype.kind or a.dtype.kind not in "fc":
        return
    slim_a, slim_b = (each.reshape([n for n in each.shape if n != 1]) for each in (a, b))
    for order in itertools.islice(orders(slim_b, slim_a.shape), LAYOUTS):
        yield slim_b.transpose(order).reshape(a.shape)


def affine(a: Array, b: Array) -> Iterator[Relation]:
    """b = s a + t."""
    if a.size <= FEWEST:
        return
    centred = a - a.mean()
    spread = float(np.sum(centred * centred))
    if spread:
        slope = round_number(float(np.sum(centred * b)) / spread)
        shift = round_number(float(b.mean()) - slope * float(a.mean()))
        yield Relation(slope * a + shift, "affine", "", "as it is", in_terms_of("x", slope, shift))


def in_terms_of(letter: str, slope: float, shift: float) -> str:
    start = letter if slope == 1 else f"{short(slope)} {letter}"
    return start if not shift else f"{start} {'+' if shift > 0 else '-'} {short(abs(shift))}"


def round_number(value: float) -> float:
    """The number that somebody would have written, where a measured one is that near to it."""
    written = nice(value, 5)
    return written if math.isclose(value, written, rel_tol=KEPT_NUMBER) else value


def power(a: Array, b: Array) -> Iterator[Relation]:
    """|b| = c |a|^p, with A's signs or without."""
    used = (a != 0) & (b != 0)
    if used.sum() <= 2 * FEWEST:
        return
    x, y = np.log(np.abs(a[used])), np.log(np.abs(b[used]))
    centred = x - x.mean()
    spread = float(centred @ centred)
    exponent = round_number(float(centred @ y) / spread) if spread else 1.0
    if exponent in (0.0, 1.0):
        return
    factor = round_number(math.exp(float(np.mean(y - exponent * x))))
    plain = factor * np.abs(a) ** exponent
    words = f"to the power {short(exponent)}" + ("" if factor == 1 else f", times {short(factor)}")
    yield Relation(plain, "power", "", "as it is", words)
    yield Relation(np.sign(a) * plain, "power", "", "as it is", words)


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "exp(x)": np.exp, "log(x)": np.log, "log(1 + x)": np.log1p, "exp(x) - 1": np.expm1, "log10(x)": np.log10,
    "log2(x)": np.log2, "|x|": np.abs, "-x": np.negative, "1/x": np.reciprocal, "sqrt(x)": np.sqrt,
    "x^2": np.square, "exp(x/2)": lambda x: np.exp(x / 2), "1 - x": lambda x: 1 - x, "sin(x)": np.sin,
    "cos(x)": np.cos, "floor(x)": np.floor, "round(x)": np.round, "ceil(x)": np.ceil, "sign(x)": np.sign,
    "10 log10(x)": lambda x: 10 * np.log10(x), "tanh(x)": np.tanh, "x mod 1": lambda x: x % 1.0,
}  # fmt: skip


def function(a: Array, b: Array) -> Iterator[Relation]:
    """One more elementary function, on either side."""
    if a.size < FEWEST:
        return
    for words, apply in FUNCTIONS.items():
        yield Relation(np.asarray(apply(a)), "function", "", "x", words)
    for words, apply in FUNCTIONS.items():
        if np.allclose(apply(b), a, rtol=1e-9, atol=0.0, equal_nan=False):
            yield Relation(b, "function", "", words, "x")


def own_reductions(a: Array, b: Array) -> Iterator[Relation]:
    """Divided by its own sum or norm over some axes, less its own mean or maximum."""
    for count in range(1, a.ndim + 1):
        for axes in itertools.combinations(range(a.ndim), count):
            if math.prod(a.shape[axis] for axis in axes) < 2:
                continue
            over = f"over {axes_words(axes)} of {a.shape}"
            for words, apply in OWN.items():
                yield Relation(apply(a, axes), "normalised", "", "as it is", f"{words} {over}")
                if np.allclose(apply(b, axes), a, rtol=1e-9, atol=1e-12 * float(np.abs(a).max())):
                    yield Relation(b, "normalised", "", f"{words} {over}", "as it is")


OWN: dict[str, Callable[[Array, tuple[int, ...]], Array]] = {
    "divided by its own sum": lambda x, axes: x / x.sum(axes, keepdims=True),
    "divided by its own norm": lambda x, axes: x / np.sqrt((x * x).sum(axes, keepdims=True)),
    "divided by its own maximum": lambda x, axes: x / x.max(axes, keepdims=True),
    "divided by its own deviation": lambda x, axes: x / x.std(axes, keepdims=True),
    "less its own mean": lambda x, axes: x - x.mean(axes, keepdims=True),
    "less its own maximum": lambda x, axes: x - x.max(axes, keepdims=True),
    "standardised": lambda x, axes: (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True),
}


def axes_words(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"


def along_axes(a: Array, b: Array) -> Iterator[Relation]:
    """A factor, or an addend, for each place of one axis or of two."""
    for count in (1, 2):
        for axes in itertools.combinations(range(a.ndim), count):
            rest = tuple(axis for axis in range(a.ndim) if axis not in axes)
            places = math.prod(a.shape[axis] for axis in axes)
            if places < 2 or a.size < FEWEST * places:
                continue
            square = (a * a).sum(rest, keepdims=True)
            factors = (a * b).sum(rest, keepdims=True) / np.where(square > 0, square, 1.0)
            where = f" at each place of {axes_words(axes)} of {a.shape}"
            yield Relation(a * factors, "factors", where, "x", f"x times {progression(factors)}")
            addends = (b - a).mean(rest, keepdims=True)
            yield Relation(a + addends, "addends", where, "x", f"x plus {progression(addends)}")


def progression(numbers: Array) -> str:
    """A few numbers, or the rule by which each follows from the one before."""
    flat = np.ravel(numbers).astype(float)
    if len(flat) > 2 and np.isfinite(flat).all():
        steps = np.diff(flat)
        if np.allclose(steps, steps[0], rtol=1e-6, atol=1e-9 * np.abs(flat).max()) and steps[0]:
            return f"{short(flat[0])}, {short(flat[1])}, ... (each plus {short(steps[0])})"
        ratios = flat[1:] / flat[:-1] if (flat[:-1] != 0).all() else np.zeros(1)
        if np.allclose(ratios, ratios[0], rtol=1e-6) and ratios[0] not in (0.0, 1.0):
            return f"{short(flat[0])}, {short(flat[1])}, ... (each times {short(ratios[0])})"
    return ", ".join(short(each) for each in flat[:SHOWN]) + (", ..." if len(flat) > SHOWN else "")


def shifted(a: Array, b: Array) -> Iterator[Relation]:
    """One or two steps later or earlier along an axis, whatever comes in at its end; flipped; cyclic."""
    for axis in range(a.ndim):
        length = a.shape[axis]
        for step in STEPS:
            if length < abs(step) + 2:
                continue
            inner = slice(max(step, 0), length + min(step, 0)), slice(max(-step, 0), length + min(-step, 0))
            kept = np.moveaxis(b, axis, 0).copy()
            kept[inner[0]] = np.moveaxis(a, axis, 0)[inner[1]]
            words = f"moved by {abs(step)} {'later' if step > 0 else 'earlier'}"
            found = np.moveaxis(kept, 0, axis)
            if float(np.ptp(np.moveaxis(a, axis, 0)[inner[1]])) > 0:
                yield Relation(found, "moved", f" along axis {axis} of {a.shape}", "as it is", words)


def in_part(a: Array, b: Array) -> Iterator[Relation]:
    """What differs at some places only, and is 0 there on one side, or stands in a triangle or at an end of an axis."""
    scale = float(np.abs(a).max()) or 1.0
    unlike = np.abs(a - b) > EQUAL * scale
    share = float(unlike.mean())
    if not 0 < share < 1 or a.size - unlike.sum() < FEWEST or not (a[~unlike] != 0).any():
        return
    place = where(unlike)
    if place:
        yield Relation(b, "in_part", f" {place} of {a.shape}", *part_words(a[unlike], b[unlike]))


def part_words(ours: Array, theirs: Array) -> tuple[str, str]:
    """What stands there on each side."""
    words = [f"all {short(float(each[0]))}" if np.ptp(each) == 0 else f"{progression(each)}" for each in (ours, theirs)]
    return words[0], f"{words[1]} (elsewhere both are the same)"


def where(unlike: Array) -> str:
    """The places along one axis, or beside the diagonal of the last two; "" where they follow no such rule."""
    for axis in range(unlike.ndim):
        rest = tuple(other for other in range(unlike.ndim) if other != axis)
        some = np.flatnonzero(unlike.any(rest))
        if len(some) <= unlike.shape[axis] // 2:
            listed = ", ".join(map(str, some[:SHOWN])) + (", ..." if len(some) > SHOWN else "")
            return f"at place{'s' if len(some) > 1 else ''} {listed} of axis {axis}"
    if unlike.ndim > 1 and unlike.shape[-1] > 1 and unlike.shape[-2] > 1:
        apart = np.arange(unlike.shape[-1]) - np.arange(unlike.shape[-2])[:, None]
        found = unlike.reshape(-1, *unlike.shape[-2:]).any(0)
        for words, region in {
            "above the diagonal": apart > 0,
            "below the diagonal": apart < 0,
            "on the diagonal": apart == 0,
        }.items():
            if found.any() and not (found & ~region).any():
                return words
    return ""


MEASURES = (affine, power, function, own_reductions, along_axes, shifted)
