"""Ratios of times from interleaved rounds, with an interval that assumes no distribution.

A round runs every arm once, so the two times of a round share the state of the machine: the statistic is the median
of the log ratios within rounds. Its interval comes from order statistics (the sign test turned around; Conover,
Practical Nonparametric Statistics, 3.2). Rounds are autocorrelated, which makes that interval too narrow, so the
distance of its ranks from the middle grows by sqrt((1 + r) / (1 - r)), r the lag-1 autocorrelation of the signs
around the median.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import geometric_mean, median

__all__ = ["CONFIDENCE", "Interval", "Ratio", "geometric_mean", "median", "median_interval", "paired_ratio"]

CONFIDENCE = 0.95
LARGEST_CORRELATION = 0.9
FEW = 10  # below this many rounds an autocorrelation can't be estimated


@dataclass(frozen=True)
class Interval:
    """`low` to `high` holds the median with at least `confidence`, which few values may not allow to be as asked."""

    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Ratio:
    """time / reference time: the median over `rounds` rounds, its interval, and the quartiles of the rounds."""

    value: float
    low: float
    high: float
    confidence: float
    rounds: int
    lower: float
    upper: float


def paired_ratio(times: Sequence[float], reference: Sequence[float], confidence: float = CONFIDENCE) -> Ratio | None:
    """The ratio of two arms of the same rounds; None where they share no round with two positive finite times."""
    pairs = [(a, b) for a, b in zip(times, reference, strict=False) if 0 < a < math.inf and 0 < b < math.inf]
    if not pairs:
        return None
    logs = [math.log(a / b) for a, b in pairs]
    interval = median_interval(logs, confidence)
    ordered, quarter = sorted(logs), len(logs) // 4
    ends = (median(logs), interval.low, interval.high, ordered[quarter], ordered[-1 - quarter])
    value, low, high, lower, upper = map(math.exp, ends)
    return Ratio(value, low, high, interval.confidence, len(logs), lower, upper)


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """An interval for the median of `values`, which are in the order in which they were measured."""
    ordered, n = sorted(values), len(values)
    rank, attained = _rank(n, confidence)
    correlation = _sign_correlation(values)
    middle = (n + 1) / 2
    wide = math.floor(middle - (middle - rank) * math.sqrt((1 + correlation) / (1 - correlation)))
    wide = max(1, wide)
    return Interval(ordered[wide - 1], ordered[n - wide], attained)


@lru_cache(maxsize=1024)
def _rank(n: int, confidence: float) -> tuple[int, float]:
    """The innermost rank whose interval still has `confidence`, or 1 where none has; and what it attains.

    The values at `rank` from either end hold the median unless fewer than `rank` values fall on one side of it:
    1 - 2 P(Binomial(n, 1/2) < rank).
    """
    rank, ways, tail = 1, n, 1  # ways: comb(n, rank); tail: the sum of those below
    while rank < n / 2 and 2 * (tail + ways) / 2**n <= 1 - confidence:
        tail += ways
        ways = ways * (n - rank) // (rank + 1)
        rank += 1
    return rank, 1 - 2 * tail / 2**n


def _sign_correlation(values: Sequence[float]) -> float:
    """Lag-1 autocorrelation of the signs around the median, between 0 and LARGEST_CORRELATION."""
    if len(values) < FEW:
        return 0.0
    middle = median(values)
    signs = [(value > middle) - (value < middle) for value in values]
    total = sum(sign * sign for sign in signs)
    products = sum(a * b for a, b in pairwise(signs))
    return min(LARGEST_CORRELATION, max(0.0, products / total)) if total else 0.0
