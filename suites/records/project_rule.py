"""What a comparison of a project's benchmark says: the stopping rule, unless the machine was not fit for it.

Where code lies in memory makes a short call one or two percent faster or slower, and a changed remark moves code. Three
pairs of processes can lie alike by chance. So a difference counts only if it survives six more pairs that lie
elsewhere: Student's t over what the nine pairs show, each of them one number.

The run stops by it, its error rates are counted by it and the reports judge by it: it is the one place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from suites.records import stopping_rule
from suites.records.projects import Contest
from suites.records.stopping_rule import PAIRS, Estimate, Rule

STRAINED = 0.25  # share of its blocks' time without a core, from which on a comparison decides nothing
NOISY = 0.10  # median difference of two blocks of one process in a round, from which on it decides nothing
REPEATS = 2  # comparisons in other processes that a difference has to survive
BEYOND = 0.001  # chance beyond each end of the interval over all pairs, which decides
DECIDED = ("slower", "faster")


@dataclass(frozen=True)
class Said:
    """The word: slower, same, faster, inconclusive or unfit; why it is none of the first three; what the rounds say."""

    word: str
    reason: str
    decision: stopping_rule.Decision


def judge(item: Contest, comparisons: int, repeats: Sequence[Contest] = ()) -> Said:
    """What a comparison says, one of so many in its run, with its repeats in other processes.

    Controls compare a tree with itself, at the same place in memory: they need no repeats.
    """
    said = judge_once(item, comparisons)
    if item.role != "gate":
        return said
    if said.word in DECIDED:
        return confirm(item, said, repeats)
    return replace(said, decision=widen(said.decision, item))


def widen(decision: stopping_rule.Decision, item: Contest) -> stopping_rule.Decision:
    """The same word with the interval over pairs of processes, where it is wider than that over rounds.

    Rounds in the same processes tell nothing of what other processes would show.
    """
    over_pairs = estimate_over_pairs(values_of_pairs(item))
    low, high = over_pairs.interval(0.025)
    narrow_low, narrow_high = decision.found.interval(0.025)
    return replace(decision, found=over_pairs) if high - low > narrow_high - narrow_low else decision


def judge_once(item: Contest, comparisons: int) -> Said:
    """What a comparison says by itself."""
    rule = Rule(comparisons=max(Rule.comparisons, comparisons))
    found = decide(item, rule)
    reason = unfit(item)
    if reason:
        return Said("unfit", reason, found)
    if found.word in DECIDED:
        reason = pairs_apart(item, found.found.value)
        if reason:
            return Said("inconclusive", reason, found)
    return Said(found.word, "some of its calls only" if found.by_whole else "", found)


def decide(item: Contest, rule: Rule) -> stopping_rule.Decision:
    """What the rounds say; they are over, so this is their last look."""
    rounds = (item.base, item.head, item.base_whole, item.head_whole)
    found = stopping_rule.decide(*rounds, rule, ended=item.seconds >= rule.cap_seconds)
    return found if found.word else stopping_rule.decide(*rounds, rule, ended=True)


def strained(item: Contest) -> bool:
    """Whether the machine was too busy in this comparison for it to decide anything."""
    return (item.waited or 0.0) > STRAINED or (item.stolen or 0.0) > STRAINED


def unfit(item: Contest) -> str:
    """Why the machine was not fit for this comparison, or nothing."""
    if (item.waited or 0.0) > STRAINED:
        return f"its processes waited for a core {item.waited:.0%} of the time"
    if (item.stolen or 0.0) > STRAINED:
        return f"the hypervisor took {item.stolen:.0%} of the time"
    if (item.noise or 0.0) > NOISY:
        return f"two blocks of the same process in one round differ by {item.noise:.0%}"
    return ""


def pairs_apart(item: Contest, value: float) -> str:
    """Why the pairs of processes do not agree enough to show this log ratio, or nothing."""
    values = values_of_pairs(item)
    apart = max(values) - min(values)
    if apart > abs(value) and apart > Rule.smallest:
        return f"its pairs of processes are further apart ({ratios(values)}) than what they show"
    return ""


def values_of_pairs(item: Contest, by_whole: bool = False) -> list[float]:
    """The log ratio that each pair of processes shows; `by_whole`: of whole blocks of calls."""
    head, base = (item.head_whole, item.base_whole) if by_whole else (item.head, item.base)
    logs = stopping_rule.log_ratios(head, base)
    return [stopping_rule.estimate(logs[pair::PAIRS]).value for pair in range(PAIRS)]


def ratios(values: Sequence[float]) -> str:
    return ", ".join(f"{math.exp(value):.3f}" for value in values)


def wants_repeat(item: Contest, comparisons: int, repeats: Sequence[Contest]) -> bool:
    """Whether a comparison shows a difference that other processes have not yet confirmed or denied."""
    said = judge_once(item, comparisons)
    if said.word not in DECIDED or len(repeats) >= REPEATS:
        return False
    by_whole = said.decision.by_whole
    first = fmean(values_of_pairs(item, by_whole))
    return not any(unfit(other) or is_denied(first, values_of_pairs(other, by_whole)) for other in repeats)


def is_denied(first: float, values: Sequence[float]) -> bool:
    """Whether other pairs show less than half of the smallest difference, or the opposite."""
    in_its_direction = fmean(values) if first > 0 else -fmean(values)
    return in_its_direction < Rule.smallest / 2


def confirm(item: Contest, said: Said, repeats: Sequence[Contest]) -> Said:
    """What all pairs of processes say of a difference that the first three show."""
    if not repeats:
        return replace(said, word="inconclusive", reason="it was not repeated in other processes")
    by_whole = said.decision.by_whole
    values: list[float] = []
    for contest in (item, *repeats):
        values += values_of_pairs(contest, by_whole)
    found = estimate_over_pairs(values)
    low, high = found.interval(BEYOND)
    decision = replace(said.decision, found=found, strict=(low, high))
    reason = "; ".join(filter(None, map(unfit, repeats)))
    if reason:
        return Said("inconclusive", f"when it was repeated, {reason}", decision)
    shown = low > 0 if said.word == "slower" else high < 0
    if len(repeats) == REPEATS and shown and abs(found.value) > Rule.smallest:
        return Said(said.word, said.reason, decision)
    return Said("inconclusive", f"pairs of processes that lie elsewhere in memory differ ({ratios(values)})", decision)


def estimate_over_pairs(values: Sequence[float]) -> Estimate:
    """Mean and standard error of what pairs of processes show, each of them one number."""
    return Estimate(fmean(values), stdev(values) / math.sqrt(len(values)), len(values) - 1)
