"""Change points of a series of runs: where its level moved, by ranks, so that no distribution is assumed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from statistics import median

PERMUTATIONS = 1999
RARE = 0.001  # a shift that chance makes more seldom is a change point
SHIFT = 1.03  # and it has to be at least so many times up or down: less is the machine's mood


def changes(values: Sequence[float]) -> list[tuple[int, float]]:
    """Change points of `values`, by binary segmentation: the first index of each new level, and its chance.

    A split is where the rank sum departs most (Pettitt, Applied Statistics 28, 1979); how seldom chance makes such a
    departure is counted over shuffled ranks. What is left and right of a split is searched again.
    """
    return sorted(_split(list(values), 0))


def _split(values: list[float], offset: int) -> list[tuple[int, float]]:
    if len(values) < fewest():
        return []
    at, departure = _departure(_ranks(values))
    chance = _chance(len(values), departure)
    before, after = median(values[:at]), median(values[at:])
    if chance > RARE or max(before, after) < SHIFT * min(before, after):
        return []
    return [(offset + at, chance), *_split(values[:at], offset), *_split(values[at:], offset + at)]


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    ordered = sorted(values)
    first = {value: at for at, value in reversed(list(enumerate(ordered, 1)))}
    last = {value: at for at, value in enumerate(ordered, 1)}
    return [(first[value] + last[value]) / 2 for value in values]


def _departure(ranks: Sequence[float]) -> tuple[int, float]:
    """Where the sum of the ranks before departs most from what it is on average, and by how much."""
    middle = (len(ranks) + 1) / 2
    sums = list(accumulate(rank - middle for rank in ranks))[:-1]
    at = max(range(len(sums)), key=lambda index: abs(sums[index]))
    return at + 1, abs(sums[at])


@lru_cache(maxsize=256)
def _shuffled(n: int) -> list[float]:
    """The departures of PERMUTATIONS shuffles of `n` ranks, which depend on `n` only, smallest first."""
    rng, ranks = random.Random(n), list(map(float, range(1, n + 1)))
    return sorted(_departure(rng.sample(ranks, n))[1] for _ in range(PERMUTATIONS))


def _chance(n: int, departure: float) -> float:
    return (1 + sum(found >= departure for found in _shuffled(n))) / (1 + PERMUTATIONS)


@lru_cache(maxsize=1)
def fewest() -> int:
    """The fewest runs in which a clean step half-way is rarer than RARE: 2 of comb(n, n // 2) orders make it."""
    return next(n for n in range(4, 100) if 2 / math.comb(n, n // 2) <= RARE)
