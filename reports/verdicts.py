"""Verdicts: a word and a shape before a colour; the one place that says when a comparison counts as the same."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from suites.records.run import Comparison


class Verdict(NamedTuple):
    """`shape` names a symbol of the page, `tone` its colour; `rank` orders verdicts, the worst last."""

    word: str
    shape: str
    tone: str
    rank: int


NONE = Verdict("no data", "dash", "quiet", 0)
SAME = Verdict("same", "check", "good", 1)
SHOWN = Verdict("not bounded", "ring", "quiet", 2)
EXPLAINED = Verdict("explained", "diamond", "warn", 3)
SKIPPED = Verdict("skipped", "dash", "quiet", 4)
NOT_RUN = Verdict("not run", "dash", "quiet", 4)
FAILED = Verdict("failed", "triangle", "bad", 5)
DIFFERS = Verdict("differs", "cross", "bad", 6)


def of(comparison: Comparison) -> Verdict:
    """The verdict on one tensor. A NaN is above every bound, and it is never just shown."""
    if math.isnan(comparison.disagreement):
        return DIFFERS
    if comparison.bound is None:
        return SHOWN
    if not comparison.disagreement <= comparison.bound:
        return DIFFERS
    return EXPLAINED if comparison.departs else SAME


def severity(comparison: Comparison) -> tuple[int, float]:
    """Sorts comparisons: the worst verdict last, and within one the largest share of its bound."""
    share = comparison.disagreement / (comparison.bound or 1.0)
    return of(comparison).rank, math.inf if math.isnan(share) else share


def deciding(comparisons: Iterable[Comparison]) -> Comparison | None:
    """The comparison that decides the verdict of all; it need not be the one that is furthest apart."""
    return max(comparisons, key=severity, default=None)


def largest(comparisons: Iterable[Comparison]) -> Comparison | None:
    """The comparison that is furthest apart, whether it has a bound or not; NaN is further than anything."""
    return max(comparisons, key=lambda it: (math.isnan(it.disagreement), it.disagreement), default=None)


def _share(disagreement: float, bound: float) -> float:
    """What is exact has a bound of zero, and takes nothing of it."""
    if bound:
        return disagreement / bound
    return 0.0 if disagreement == 0 else math.inf


def closest(comparisons: Iterable[Comparison]) -> float | None:
    """The largest share of its bound that a disagreement takes; None where nothing has a bound."""
    shares = [_share(it.disagreement, it.bound) for it in comparisons if it.bound is not None]
    return max(shares, key=lambda share: (math.isnan(share), share), default=None)
