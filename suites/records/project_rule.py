"""What a comparison of a project's benchmark says: the stopping rule, unless the machine was not fit for it.

The run stops by it, its error rates are counted by it and the reports judge by it: it is the one place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from suites.records import stopping_rule
from suites.records.projects import Contest
from suites.records.stopping_rule import PAIRS, Rule

STRAINED = 0.25  # share of its blocks' time without a core, from which on a comparison decides nothing
NOISY = 0.10  # median difference of two blocks of one process in a round, from which on it decides nothing


@dataclass(frozen=True)
class Said:
    """The word: slower, same, faster, inconclusive or unfit; why it is none of the first three; what the rounds say."""

    word: str
    reason: str
    decision: stopping_rule.Decision


def judge(item: Contest, comparisons: int) -> Said:
    """What a comparison says, one of so many in its run."""
    rule = Rule(comparisons=max(Rule.comparisons, comparisons))
    found = decide(item, rule)
    reason = unfit(item)
    if reason:
        return Said("unfit", reason, found)
    if found.word in ("slower", "faster"):
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
    logs = stopping_rule.log_ratios(item.head, item.base)
    values = [stopping_rule.estimate(logs[pair::PAIRS]).value for pair in range(PAIRS)]
    apart = max(values) - min(values)
    if apart > abs(value) and apart > Rule.smallest:
        shown = ", ".join(f"{math.exp(found):.3f}" for found in values)
        return f"its pairs of processes are further apart ({shown}) than what they show"
    return ""
