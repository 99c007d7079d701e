"""What interleaved rounds say about head / base, and when they have said it: arithmetic on two lists of times.

A round runs base, head, head, base (or the mirror image), so a drift of the machine that is linear over a round cancels
in its log ratio. The rounds go through several pairs of workers in turn. The estimate is the mean of the log ratios
without their upper and lower fifth, its standard error that of Yuen (1974) from winsorized values, made wider for their
autocorrelation and for what processes of the same code differ by.
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
PAIRS = 3  # of workers, which take turns
# Standard deviation between two workers of the same code, measured, by backend: where in memory a process happens to
# lie makes it faster or slower for as long as it lives, however many rounds are run.
PLACEMENT = {"numpy": 0.002, "torch": 0.004, "jax": 0.0045, "tensorflow": 0.004}
FEWEST = 15  # rounds below which nothing is concluded, whatever the time
WHOLE_GROUP = 3  # rounds whose fastest blocks make one ratio of whole blocks: a neighbour interrupts most of them


@dataclass(frozen=True)
class Rule:
    """When rounds are enough and what they then say; logs of ratios, except `margin`.

    An estimate below `smallest` is not called slower: a comment can move code by as much in memory. Nor is one to which
    a pair of workers does not contribute at least half of that.
    `placement` is the standard deviation of one pair of workers, see PLACEMENT.
    Identical code is measured until the 95 % interval has the half-width `precise`; an estimate beyond `doubtful` goes
    on until it is settled or `cap_seconds` are over.
    """

    margin: float = 0.03
    familywise: float = 0.01
    comparisons: int = 60
    smallest: float = 0.009
    placement: float = 0.004
    precise: float = 0.0085
    doubtful: float = 0.005
    looks: tuple[int, ...] = (24, 48, 96, 192, 384)
    cap_seconds: float = 7.6

    @classmethod
    def of(cls, backend: str, comparisons: int = 0) -> Rule:
        """The rule for cells of `backend` in a run of so many comparisons."""
        known = cls()
        return replace(
            known,
            placement=PLACEMENT.get(backend, known.placement),
            comparisons=max(known.comparisons, comparisons),
        )

    @property
    def shift(self) -> float:
        """The standard deviation of what all pairs together are shifted by."""
        return self.placement / math.sqrt(PAIRS)

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


def estimate(logs: Sequence[float], shift: float = 0.0) -> Estimate:
    """The trimmed mean of `logs`, which are in the order in which they were measured; at least 5."""
    ordered, n = sorted(logs), len(logs)
    cut = math.floor(TRIMMED * n)
    kept = ordered[cut : n - cut]
    winsorized = [min(max(value, kept[0]), kept[-1]) for value in logs]
    middle = sum(winsorized) / n
    spread = sum((value - middle) ** 2 for value in winsorized)
    wider = _wider([value - middle for value in winsorized], spread)
    variance = wider * spread / (n - 1) / ((1 - 2 * cut / n) ** 2 * n)
    return Estimate(sum(kept) / len(kept), math.sqrt(variance + shift**2), len(kept) - 1)


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


def fastest(seconds: Sequence[float], group: int = WHOLE_GROUP) -> list[float]:
    """The fastest of every `group` rounds."""
    return [min(seconds[start : start + group]) for start in range(0, len(seconds) - group + 1, group)]


def agreed(logs: Sequence[float], least: float) -> bool:
    """Whether each pair of workers by itself shows more than `least`, all of them in one direction."""
    values = [estimate(logs[pair::PAIRS]).value for pair in range(PAIRS)]
    return min(values) > least or max(values) < -least


def said(logs: Sequence[float], found: Estimate, rule: Rule, look: int, last: bool) -> Word:
    """What `found`, made of `logs`, says at this look; "" where more rounds are needed."""
    low, high = found.interval(rule.alpha(look, last))
    if abs(found.value) > rule.smallest and (low > 0 or high < 0) and agreed(logs, rule.smallest / 2):
        return "slower" if low > 0 else "faster"
    margin = math.log1p(rule.margin)
    left, right = found.interval(SHOWN)
    shown = -margin < left and right < margin
    left, right = found.interval(0.025)
    clear = (right - left) / 2 <= rule.precise and abs(found.value) < rule.doubtful
    if shown and (clear or last):
        return "same"
    return "inconclusive" if last else ""


@dataclass(frozen=True)
class Decision:
    """What a comparison says (its word; "": it goes on), and whether only whole blocks of calls say it."""

    word: Word
    found: Estimate
    strict: tuple[float, float]
    by_whole: bool = False


def decide(
    base: Sequence[float],
    head: Sequence[float],
    base_whole: Sequence[float],
    head_whole: Sequence[float],
    rule: Rule,
    ended: bool = False,
) -> Decision:
    """What these rounds say, if they are looked at now; `ended`: there won't be more of them.

    Where some calls only are slower, the fastest ones don't show it: whole blocks do, if it is more than the margin.
    """
    look = sum(len(base) > planned for planned in rule.looks)
    last = ended or look >= len(rule.looks) - 1
    look = min(look, len(rule.looks) - 1)
    logs, alpha = log_ratios(head, base), rule.alpha(look, last)
    found = estimate(logs, rule.shift)
    word = said(logs, found, rule, look, last)
    if word in ("slower", "faster", ""):
        return Decision(word, found, found.interval(alpha))
    other = _whole(estimate(log_ratios(fastest(head_whole), fastest(base_whole)), rule.shift), rule, alpha)
    if other in ("slower", "faster"):
        return Decision(other, found, found.interval(alpha), by_whole=True)
    return Decision(word if last or other == "same" else "", found, found.interval(alpha))


def _whole(found: Estimate, rule: Rule, alpha: float) -> Word:
    """Whether whole blocks differ by more than the margin; "" where they may."""
    low, high = found.interval(alpha)
    margin = math.log1p(rule.margin)
    if low > margin or high < -margin:
        return "slower" if low > margin else "faster"
    return "same" if abs(found.value) < margin else ""
