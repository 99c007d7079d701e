"""Change points of a series of runs: where its level moved, judged against shuffles of the series itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import median

import numpy as np

PERMUTATIONS = 1999
FIRST = 199  # permutations after which a step that chance makes often is given up
RARE = 0.001  # a shift that chance makes more seldom is a change point
SHIFT = 1.03  # and it has to be at least so many times up or down: less is the machine's mood


def changes(values: Sequence[float]) -> list[tuple[int, float]]:
    """Change points of positive `values`, by binary segmentation: the first index of each new level, and its chance.

    A split is where the sum of the logarithms before it departs most from its share of the whole, in units of its
    standard deviation, sqrt(k (n - k)) (Csörgő and Horváth, Limit Theorems in Change-Point Analysis, 1997, 2.1): so a
    step among the newest runs counts as much as one in the middle. How seldom chance makes such a departure is counted
    over shuffles of the values. What is left and right of a split is searched again.
    """
    return sorted(_split(list(values), 0))


def _split(values: list[float], offset: int) -> list[tuple[int, float]]:
    if len(values) < fewest():
        return []
    logs = np.log(values)
    departures = _departures(logs)
    at = int(departures.argmax()) + 1
    before, after = median(values[:at]), median(values[at:])
    if max(before, after) < SHIFT * min(before, after):
        return []
    chance = _chance(logs, float(departures.max()))
    if chance > RARE:
        return []
    return [(offset + at, chance), *_split(values[:at], offset), *_split(values[at:], offset + at)]


def _departures(logs: np.ndarray) -> np.ndarray:
    """For each split of the last axis, n values, how far the sum before it is from its share: (..., n - 1)."""
    n = logs.shape[-1]
    sizes = np.arange(1, n)
    centred = logs - logs.mean(-1, keepdims=True)
    departures: np.ndarray = np.abs(centred.cumsum(-1)[..., :-1]) / np.sqrt(sizes * (n - sizes))
    return departures


def _chance(logs: np.ndarray, departure: float) -> float:
    """The share of shuffles whose largest departure is at least `departure`, itself among them."""
    rng = np.random.default_rng(len(logs))
    least = departure * (1 - 1e-9)  # a shuffle of equal values may differ in the last digit
    seldom = 0
    for count in (FIRST, PERMUTATIONS - FIRST):
        shuffled = rng.permuted(np.tile(logs, (count, 1)), axis=1)
        seldom += int((_departures(shuffled).max(-1) >= least).sum())
        if count == FIRST and seldom > FIRST // 40:
            return (1 + seldom) / (1 + FIRST)
    return (1 + seldom) / (1 + PERMUTATIONS)


@lru_cache(maxsize=1)
def fewest() -> int:
    """The fewest runs in which a clean step half-way is rarer than RARE: 2 of comb(n, n // 2) orders make it."""
    return next(n for n in range(4, 100) if 2 / math.comb(n, n // 2) <= RARE)
