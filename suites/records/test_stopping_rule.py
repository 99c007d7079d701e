"""The rule of the gate on streams whose truth is known: no clock, so nothing here depends on the machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from suites.records.stopping_rule import PAIRS, Rule, decide, estimate, student

STREAMS = 300
Rounds = tuple[list[float], list[float]]


def rounds(rng: np.random.Generator, number: int, slower: float, noise: float = 0.01, memory: float = 0.2) -> Rounds:
    """Times of base and head with autocorrelated log ratios; now and then one takes five times as long."""
    drift = np.cumsum(rng.normal(0, 0.02, number))
    errors = rng.normal(0, noise, number)
    for index in range(1, number):
        errors[index] = memory * errors[index - 1] + math.sqrt(1 - memory**2) * errors[index]
    hits = 1 + 4 * (rng.random((2, number)) < 0.05)
    base, head = np.exp(drift) * hits[0], np.exp(drift + errors + math.log1p(slower)) * hits[1]
    return base.tolist(), head.tolist()


def gated(rng: np.random.Generator, slower: float, rule: Rule) -> tuple[str, bool]:
    """The word at which a comparison ends, and whether its 95 % interval holds the truth."""
    base, head = rounds(rng, rule.looks[-1], slower)
    for look in rule.looks:
        found = decide(base[:look], head[:look], base[:look], head[:look], rule)
        if found.word:
            low, high = found.found.interval(0.025)
            return found.word, low <= math.log1p(slower) <= high
    raise AssertionError("the last look has to end a comparison")


def outcomes(slower: float) -> Iterator[tuple[str, bool]]:
    rng = np.random.default_rng(round(slower * 1000))
    rule = Rule(placement=0.0)
    return (gated(rng, slower, rule) for _ in range(STREAMS))


def test_identical_code_is_never_called_slower() -> None:
    """A gate that cries wolf gets switched off; outliers, drift and autocorrelation are what shared cores have."""
    words = Counter(word for word, _ in outcomes(0.0))
    assert not words["slower"] and not words["faster"] and words["same"] > 0.98 * STREAMS


@pytest.mark.parametrize(("slower", "least"), [(0.01, 0.5), (0.02, 0.9), (0.05, 0.99)])
def test_a_slowdown_is_called_one(slower: float, least: float) -> None:
    words = Counter(word for word, _ in outcomes(slower))
    assert words["slower"] >= least * STREAMS


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = [inside for slower in (0.0, 0.02) for _, inside in outcomes(slower)]
    assert 0.92 <= sum(held) / len(held) <= 0.98


def test_swapping_base_and_head_mirrors_the_verdict() -> None:
    """A rule that prefers one of the names would blame whoever comes second."""
    mirror = {"slower": "faster", "faster": "slower"}
    rng, rule = np.random.default_rng(1), Rule()
    for slower in (0.0, 0.004, 0.01, 0.03, 0.1):
        base, head = rounds(rng, 120, slower)
        there, back = (decide(a, b, a, b, rule, ended=True) for a, b in ((base, head), (head, base)))
        assert back.word == mirror.get(there.word, there.word)
        assert back.found.value == pytest.approx(-there.found.value)


def test_code_is_slower_although_its_fastest_calls_are_not() -> None:
    """A cache that is thrown away at every tenth call."""
    base = [1.0 + 0.001 * (index % 7) for index in range(120)]
    found = decide(base, base, base, [1.2 * value for value in base], Rule())
    assert found.word == "slower" and found.by_whole


def test_one_process_that_lies_badly_blames_no_code() -> None:
    """All pairs of workers have to agree: one of them may be slower for as long as it lives."""
    base = [1.0 + 0.001 * (index % 7) for index in range(120)]
    head = [value * (1.05 if index % PAIRS == 0 else 1.001) for index, value in enumerate(base)]
    assert decide(base, head, base, head, Rule(), ended=True).word not in ("slower", "faster")


def test_a_placement_that_was_not_drawn_often_is_not_forgotten() -> None:
    """However many rounds: two processes of the same code stay apart by what their memory does to them."""
    logs = [0.008 + 0.0001 * (index % 5) for index in range(1000)]
    assert estimate(logs, shift=0.0).interval(1e-4)[0] > 0 > estimate(logs, shift=0.003).interval(1e-4)[0]


@pytest.mark.parametrize(
    ("probability", "freedom", "known"), [(0.975, 10, 2.2281), (0.9999, 23, 4.4152), (0.975, 200, 1.9719)]
)
def test_quantiles_of_student(probability: float, freedom: int, known: float) -> None:
    assert student(probability, freedom) == pytest.approx(known, abs=0.01)


def test_the_looks_together_err_as_often_as_one_may() -> None:
    rule = Rule()
    each = rule.familywise / rule.comparisons
    assert sum(rule.alpha(look, last=False) for look in range(len(rule.looks))) == pytest.approx(each)
    spent = sum(rule.alpha(look, last=False) for look in range(3))
    assert spent + rule.alpha(3, last=True) == pytest.approx(each)
