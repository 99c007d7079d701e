"""What a campaign of random networks and operations found (`triptych campaign`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reports.formatting import rounded
from suites.records.campaign import Campaign, Finding

STATUSES = ("ok", "undecided", "exceeds", "error", "crash", "hang", "convention", "known difference", "refusal",
            "not written")  # fmt: skip


@dataclass(frozen=True)
class Line:
    """How many kinds of layers and operations were judged in one realisation, and how often, by dtype."""

    realisation: str
    subjects: int
    counts: dict[str, int]


@dataclass(frozen=True)
class Shown:
    """What the section shows; the shares of the bars are of all realisations within their bound."""

    campaign: Campaign
    lines: list[Line]
    dtypes: list[str]
    bars: list[tuple[float, int, float]]
    statuses: list[tuple[str, int]]
    findings: list[Finding]
    numbers: dict[str, tuple[str, str]]  # found and right, by what the finding is about


def shown(campaign: Campaign | None) -> Shown | None:
    """Everything about a campaign; None where none is kept."""
    if campaign is None:
        return None
    within = sum(bar.count for bar in campaign.histogram) or 1
    bars = [(bar.to, bar.count, bar.count / within) for bar in campaign.histogram]
    statuses = [(name, campaign.statuses[name]) for name in STATUSES if name in campaign.statuses]
    dtypes = sorted({row.dtype for row in campaign.coverage})
    numbers = {each.about: found_and_right(each.printed) for each in campaign.findings}
    return Shown(campaign, lines(campaign), dtypes, bars, statuses, ordered(campaign.findings), numbers)


def found_and_right(printed: str) -> tuple[str, str]:
    """What a finding's program printed: two numbers, or what the engine says alone (a shape)."""
    words = rounded(printed).split()
    try:
        found, right = words
        float(found), float(right)
    except ValueError:
        return printed, ""
    return found, right


def lines(campaign: Campaign) -> list[Line]:
    """Coverage by realisation; the table by layer is in the kept data."""
    found = []
    for realisation in sorted({row.realisation for row in campaign.coverage}):
        rows = [row for row in campaign.coverage if row.realisation == realisation]
        counts: Counter[str] = Counter()
        for row in rows:
            counts[row.dtype] += row.count
        found.append(Line(realisation, len({row.subject for row in rows}), dict(counts)))
    return found


def ordered(findings: list[Finding]) -> list[Finding]:
    """Those that a person has named first, wrong numbers before errors, the frequent ones before the rare."""
    return sorted(findings, key=lambda each: (not each.title, each.status != "exceeds", -each.count, each.about))
