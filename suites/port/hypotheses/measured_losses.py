"""Losses with a number in them that a person wrote (a delta, a quantile, a gamma), which is measured from the value.

The value grows or falls with the number all the way: it is found by halving, and believed where it is a short one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from suites.port.hypotheses.causes import nice
from suites.port.hypotheses.formulas import Array, log_softmax
from suites.port.hypotheses.loss_formulas import Term, cross_entropy, focal, huber, like, one_hot

BENT = ("Huber loss", "smooth L1")  # which go on as a line behind their number
REDUCTIONS: dict[str, Callable[[Array], Any]] = {"mean": np.mean, "sum": np.sum}
HALVINGS = 200
DIGITS = 3
CLOSE = 1e-6  # relative: as near a number is measured, before it is tried with those digits


class Family(NamedTuple):
    """A loss of each element that grows or falls with one number."""

    kind: str
    name: str  # of the number
    least: float
    most: float
    each: Callable[[Array, Array, float], Array]
    taken_for: str = ""  # of outputs whose labels are classes
    plain: float = math.nan  # the number with which it is a loss of another name


def pinball(z: Array, y: Array, tau: float) -> Array:
    """Of a quantile (Koenker and Bassett 1978)."""
    e = like(z, y) - z
    return np.asarray(np.maximum(tau * e, (tau - 1) * e))


def tempered(z: Array, y: Array, temperature: float) -> Array:
    return cross_entropy(log_softmax(z / temperature), one_hot(z, y))


FAMILIES = (
    Family("Huber loss", "delta", 1e-3, 1e3, lambda z, y, delta: huber(z - like(z, y), delta)),
    Family("smooth L1", "beta", 1e-3, 1e3, lambda z, y, beta: huber(z - like(z, y), beta) / beta),
    Family("quantile loss", "quantile", 0.0, 1.0, pinball),
    Family("focal loss", "gamma", 0.0, 16.0, lambda z, y, g: focal(log_softmax(z), one_hot(z, y), g), "logits", 0.0),
    Family("cross-entropy", "temperature", 1e-2, 1e2, tempered, "logits", 1.0),
)


def measured_losses(z: Array, y: Array, value: float, limit: float) -> Iterator[tuple[Term, str]]:
    """(term, reduction) of each loss that has this value with a number of few digits in it."""
    for family in FAMILIES:
        if not fits(family, z, y):
            continue
        for reduction, combine in REDUCTIONS.items():
            number = solved(lambda at, f=family, c=combine: float(c(f.each(z, y, at))) - value, family)  # type: ignore[misc]
            written = nice(number, DIGITS)
            if not math.isfinite(number) or not math.isclose(number, written, rel_tol=CLOSE):
                continue
            beyond = family.kind in BENT and written >= float(np.abs(z - like(z, y)).max())  # a squared error
            if beyond or math.isclose(written, family.plain, abs_tol=CLOSE):
                continue
            with np.errstate(all="ignore"):
                found = float(combine(family.each(z, y, written)))
            if abs(found - value) <= limit * (z.size if reduction == "sum" else 1):
                yield Term(family.kind, family.taken_for, f"{family.name} {written:g}"), reduction


def fits(family: Family, z: Array, y: Array) -> bool:
    if family.taken_for:
        return z.ndim > 1 and y.dtype.kind in "iu" and y.shape == z.shape[:-1] and z.shape[-1] > 1
    return y.size == z.size


def solved(function: Callable[[float], float], family: Family) -> float:
    """Where a function that grows or falls is 0; NaN where it is not, inside of the family's range."""
    low, high = family.least, family.most
    with np.errstate(all="ignore"):
        ends = function(low), function(high)
        if not all(map(math.isfinite, ends)) or ends[0] * ends[1] > 0 or ends[0] == ends[1]:
            return math.nan
        return halved(function, low, high, ends[1] > 0)


def crossings(function: Callable[[float], float], grid: Sequence[float]) -> Iterator[float]:
    """Where a function that may fall and rise again is 0, between the numbers of a grid."""
    values = [function(at) for at in grid]
    for low, high, first, last in zip(grid, grid[1:], values, values[1:], strict=False):
        if math.isfinite(first) and math.isfinite(last) and first * last <= 0:
            yield halved(function, float(low), float(high), last > 0)


def halved(function: Callable[[float], float], low: float, high: float, rising: bool) -> float:
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        if (function(middle) > 0) == rising:
            high = middle
        else:
            low = middle
    return 0.5 * (low + high)
