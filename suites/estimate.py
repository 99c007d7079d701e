"""What interleaved rounds say about head / base, and when they have said it: arithmetic on two lists of times.

A round runs base, head, head, base (or the mirror image), so a drift of the machine that is linear over a round cancels
in its log ratio. The estimate is the mean of the log ratios without their upper and lower fifth, its standard error
that of Yuen (1974) from winsorized values, made wider for their autocorrelation.
Rounds are looked at a few times; each look spends a part of the error that a whole gate run may make (Lan and DeMets
1983), so looking often costs certainty, not honesty. The suites stop by this rule and the reports judge by it: it is
the one place, and loads nothing but the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

Word = Literal["slower", "same", "faster", "inconclusive", ""]
TRIMMED = 0.2
SHOWN = 0.005  # chance beyond each end of the interval that has to lie within the margin
# Measured on two pairs of workers, by backend: where in memory a compiled function, or a process, happens to lie makes
# it faster or slower for as long as it lives, however many rounds are run.
PLACEMENT = {"numpy": 0.0015, "torch": 0.002, "jax": 0.003, "tensorflow": 0.003}
FEWEST = 20  # rounds below which nothing is concluded, whatever the time
FEWEST_GROUPS = 4
WALL_GROUP = 10  # rounds whose fastest blocks make one wall-clock ratio: it is preempted in most of them


@dataclass(frozen=True)
class Rule:
    """When rounds are enough and what they then say; logs of ratios, except `margin`.

    An estimate below `smallest` is not called slower: a comment can move code by as much in memory.
    `placement` is the standard deviation of what processes of the same code differ by for good, see PLACEMENT.
    Identical code is measured until the 95 % interval has the half-width `precise`; an estimate of more than `doubt`
    standard errors goes on until it is settled or `cap_seconds` are over.
    """

    margin: float = 0.03
    familywise: float = 0.01
    comparisons: int = 60
    smallest: float = 0.008
    placement: float = 0.003
    precise: float = 0.0085
    doubt: float = 1.3
    looks: tuple[int, ...] = (40, 80, 120, 180, 270, 400, 600, 900, 1350)
    cap_seconds: float = 7.8

    @classmethod
    def of(cls, backend: str, comparisons: int = 0) -> Rule:
        """The rule for cells of `backend` in a run of so many comparisons."""
        known = cls()
        return replace(
            known,
            placement=PLACEMENT.get(backend, known.placement),
            comparisons=max(known.comparisons, comparisons),
        )

    def alpha(self, look: int, last: bool) -> float:
        """What one side of the look with this index may err; the last one gets all that is left."""
        each = self.familywise / self.comparisons
        weights = [1.5**index for index in range(len(self.looks))]
        spent = [each * weight / sum(weights) for weight in weights]
        return each - sum(spent[:look]) if last else spent[look]


@dataclass(frozen=True)
class Estimate:
    """A mean log ratio, its standard error and the degrees of freedom of the latter."""

    value: float
    error: float
    freedom: int

    def interval(self, alpha: float) -> tuple[float, float]:
        """The two ends that the truth lies beyond with probability `alpha` each."""
        half = student(1 - alpha, self.freedom) * self.error
        return self.value - half, self.value + half


def estimate(logs: Sequence[float], placement: float = 0.0) -> Estimate:
    """The trimmed mean of `logs`, which are in the order in which they were measured; at least 5."""
    ordered, n = sorted(logs), len(logs)
    cut = math.floor(TRIMMED * n)
    kept = ordered[cut : n - cut]
    winsorized = [min(max(value, kept[0]), kept[-1]) for value in logs]
    middle = sum(winsorized) / n
    spread = sum((value - middle) ** 2 for value in winsorized)
    wider = _wider([value - middle for value in winsorized], spread)
    variance = wider * spread / (n - 1) / ((1 - 2 * cut / n) ** 2 * n)
    return Estimate(sum(kept) / len(kept), math.sqrt(variance + placement**2), len(kept) - 1)


def _wider(errors: Sequence[float], spread: float) -> float:
    """By how much autocorrelation widens the variance of the mean: Newey and West (1987), and never a narrower one."""
    if not spread:
        return 1.0
    lags = math.ceil(len(errors) ** (1 / 3))
    products = (sum(a * b for a, b in zip(errors, errors[lag:], strict=False)) for lag in range(1, lags + 1))
    weighted = ((1 - lag / (lags + 1)) * product / spread for lag, product in enumerate(products, start=1))
    return max(1.0, 1 + 2 * math.fsum(weighted))


def student(probability: float, freedom: int) -> float:
    """The quantile of Student's t by its expansion in 1 / freedom (Abramowitz and Stegun 26.7.5)."""
    z: float = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, start=1))


def log_ratios(head: Sequence[float], base: Sequence[float]) -> list[float]:
    """One number a round."""
    return [math.log(a / b) for a, b in zip(head, base, strict=True)]


def fastest(seconds: Sequence[float], group: int = WALL_GROUP) -> list[float]:
    """The fastest of every `group` rounds."""
    return [min(seconds[start : start + group]) for start in range(0, len(seconds) - group + 1, group)]


def said(found: Estimate, rule: Rule, look: int, last: bool) -> Word:
    """What `found` says at this look; "" where more rounds are needed."""
    low, high = found.interval(rule.alpha(look, last))
    if abs(found.value) > rule.smallest and (low > 0 or high < 0):
        return "slower" if low > 0 else "faster"
    margin = math.log1p(rule.margin)
    left, right = found.interval(SHOWN)
    shown = -margin < left and right < margin
    left, right = found.interval(0.025)
    clear = (right - left) / 2 <= rule.precise and abs(found.value) < max(rule.doubt * found.error, rule.smallest)
    if shown and (clear or last):
        return "same"
    return "inconclusive" if last else ""


@dataclass(frozen=True)
class Decision:
    """What a comparison says: its word ("": it goes on), and what both clocks gave."""

    word: Word
    found: Estimate
    strict: tuple[float, float]
    by_wall: bool = False


def decide(
    base: Sequence[float],
    head: Sequence[float],
    base_wall: Sequence[float],
    head_wall: Sequence[float],
    rule: Rule,
    ended: bool = False,
) -> Decision:
    """What these rounds say, if they are looked at now; `ended`: there won't be more of them."""
    rounds = len(base)
    look = sum(rounds > planned for planned in rule.looks)
    last = ended or look >= len(rule.looks) - 1
    found = estimate(log_ratios(head, base), rule.placement)
    alpha = rule.alpha(min(look, len(rule.looks) - 1), last)
    word = said(found, rule, min(look, len(rule.looks) - 1), last)
    if word in ("same", "inconclusive") and (waited := _waits(base_wall, head_wall, rule, alpha)):
        return Decision(waited, found, found.interval(alpha), by_wall=True)
    return Decision(word, found, found.interval(alpha))


def _waits(base: Sequence[float], head: Sequence[float], rule: Rule, alpha: float) -> Word:
    """Whether one arm waits for something without using the processor, by more than the margin."""
    logs = log_ratios(fastest(head), fastest(base))
    if len(logs) < FEWEST_GROUPS:
        return ""
    low, high = estimate(logs, rule.placement).interval(alpha)
    margin = math.log1p(rule.margin)
    return "slower" if low > margin else "faster" if high < -margin else ""
