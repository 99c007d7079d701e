"""Ratios and intervals on data whose truth is known."""

from __future__ import annotations

import math
import random

import pytest

from reports.statistics.ratios import median_interval, paired_ratio


def test_pairing_cancels_what_the_rounds_share() -> None:
    """Bursts ten times larger than the difference must not hide or fake it."""
    rng = random.Random(1)
    bursts = [rng.lognormvariate(0, 1.0) for _ in range(60)]
    reference = [burst * rng.lognormvariate(0, 0.02) for burst in bursts]
    ratio = paired_ratio([1.05 * burst * rng.lognormvariate(0, 0.02) for burst in bursts], reference)
    assert ratio and 1 < ratio.low < 1.05 < ratio.high < 1.08
    assert ratio.rounds == 60


@pytest.mark.parametrize(("correlation", "least"), [(0.0, 0.94), (0.2, 0.92), (0.5, 0.88)])
def test_interval_covers_the_median(correlation: float, least: float) -> None:
    """In 1,000 series of 40 rounds the interval holds the true median about as often as it says."""
    rng = random.Random(2)
    covered = 0
    for _ in range(1000):
        interval = median_interval(_autoregressive(rng, correlation, 40))
        covered += interval.low <= 0 <= interval.high
    assert covered / 1000 >= least


def _autoregressive(rng: random.Random, correlation: float, n: int) -> list[float]:
    values = [rng.gauss(0, 1)]
    for _ in range(n - 1):
        values.append(correlation * values[-1] + math.sqrt(1 - correlation**2) * rng.gauss(0, 1))
    return values


@pytest.mark.parametrize(
    ("n", "rank", "confidence"),
    [(2, 1, 0.5), (5, 1, 0.9375), (6, 1, 0.96875), (20, 6, 0.9586), (40, 14, 0.9615), (2000, 956, 0.9534)],
)
def test_ranks_are_those_of_the_sign_test(n: int, rank: int, confidence: float) -> None:
    """Published tables of the interval for the median; alternating values have no positive autocorrelation."""
    values = [float(index if index % 2 else -index) for index in range(1, n + 1)]
    interval = median_interval(values)
    assert (interval.low, interval.high) == (sorted(values)[rank - 1], sorted(values)[n - rank])
    assert interval.confidence == pytest.approx(confidence, abs=1e-4)


def test_few_rounds_say_that_they_are_few() -> None:
    """One round has no interval, and no confidence is claimed for it."""
    ratio = paired_ratio([2.0], [1.0])
    assert ratio and (ratio.value, ratio.low, ratio.high, ratio.confidence) == pytest.approx((2, 2, 2, 0))


def test_broken_rounds_are_left_out() -> None:
    """A zero, negative, infinite or NaN time, or rounds that the other arm lacks, never reach a ratio."""
    ratio = paired_ratio([2.0, 0.0, math.nan, 4.0, 9.0], [1.0, 1.0, 1.0, 2.0])
    assert ratio and ratio.rounds == 2 and ratio.value == pytest.approx(2)
    assert paired_ratio([math.inf], [1.0]) is None
    assert paired_ratio([], []) is None
