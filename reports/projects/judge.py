"""Judges what a gate run of a project recorded, by the rule that also ended its rounds.

Exit status 0: nothing got slower, or it could not be decided; 1: a benchmark is slower, or fails in head alone; 2: the
machine was unfit. A comparison in which its processes waited for a core a quarter of the time decides nothing, nor does
one whose pairs of processes are further apart than what they show, or a difference that other processes do not confirm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from statistics import median
from typing import Any

from reports import formatting
from reports.findings import SEVERITIES, Finding, Severity
from reports.gate.verdict import CLEAN, UNFIT, VERDICTS, WORSE
from suites.records import project_rule
from suites.records.projects import Contest, ProjectRun

ROLES = {"gate": "", "twin": " (A/A control)", "canary": " (positive control)"}


@dataclass(frozen=True)
class Judged:
    """A comparison: its word, head / base with the 95 % interval, and the stricter one that decides."""

    test: str
    role: str
    verdict: str
    ratio: float
    low: float
    high: float
    strict_low: float
    strict_high: float
    rounds: int
    seconds: float
    base_seconds: float
    head_seconds: float
    policy: str
    budget: float | None
    reason: str


@dataclass(frozen=True)
class ProjectGate:
    """A judged run."""

    run: ProjectRun
    comparisons: list[Judged]
    findings: list[Finding]

    @property
    def exit(self) -> int:
        """The exit status that the findings make."""
        errors = {finding.kind for finding in self.findings if finding.severity == "error"}
        if "unfit" in errors:
            return UNFIT
        return WORSE if errors else CLEAN

    @property
    def verdict(self) -> str:
        """clean, regression or unfit; n/a where nothing could be compared."""
        if self.exit == CLEAN and not self.run.green and not self.comparisons:
            return "n/a"
        return VERDICTS[self.exit]


def judged(run: ProjectRun) -> ProjectGate:
    """What a recorded run says."""
    number = sum(item.role == "gate" for item in run.contests)
    comparisons = [
        compared(item, number, run.table, run.repeats_of(item.test)) for item in run.contests if item.role != "repeat"
    ]
    unfit = list(_unfit(comparisons, run))
    found = [*unfit, *_slower(comparisons, bool(unfit)), *_tests(run), *_run(run)]
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return ProjectGate(run, comparisons, found)


def compared(item: Contest, comparisons: int, table: dict[str, Any], repeats: Sequence[Contest]) -> Judged:
    """One comparison with its repeats in other processes, and what the user's table says of it."""
    repeats = repeats if item.role == "gate" else ()
    said = project_rule.judge(item, comparisons, repeats)
    estimate = said.decision.found
    low, high = estimate.interval(0.025)
    return Judged(
        test=item.test,
        role=item.role,
        verdict=said.word,
        ratio=math.exp(estimate.value),
        low=math.exp(low),
        high=math.exp(high),
        strict_low=math.exp(said.decision.strict[0]),
        strict_high=math.exp(said.decision.strict[1]),
        rounds=sum(len(each.base) for each in (item, *repeats)),
        seconds=math.fsum(each.seconds for each in (item, *repeats)),
        base_seconds=median(item.base) / 2 / item.base_calls / item.inner,
        head_seconds=median(item.head) / 2 / item.head_calls / item.inner,
        policy=_matching(table.get("policy", {}), item.test) or table.get("default", "fail"),
        budget=_matching(table.get("budget", {}), item.test),
        reason=said.reason,
    )


def _matching(globs: dict[str, Any], test: str) -> Any:
    """What the last glob that fits a test says; its brackets are taken as they are, as well as as a glob's."""
    fitting = [value for glob, value in globs.items() if glob == test or fnmatchcase(test, glob.replace("[", "[[]"))]
    return fitting[-1] if fitting else None


def _unfit(comparisons: Iterable[Judged], run: ProjectRun) -> Iterator[Finding]:
    proofs = {item.role: item for item in comparisons if item.role != "gate"}
    wrong = {"twin": (*project_rule.DECIDED, "unfit"), "canary": ("same", "faster", "inconclusive", "unfit")}
    for role, item in proofs.items():
        if item.verdict in wrong[role]:
            name = formatting.ROLES[role]
            title = f"machine unfit: the {name} on {item.test} came out {item.verdict}"
            yield Finding("error", "unfit", title, (), f"{shown(item)}. Nothing is decided.")
    if run.contests and set(proofs) != {"twin", "canary"} and run.finished:
        yield Finding("error", "unfit", "machine unfit: the run carries no controls", (), "They did not end.")


def _slower(comparisons: Iterable[Judged], unfit: bool) -> Iterator[Finding]:
    for item in comparisons:
        if item.role != "gate" or item.verdict == "same":
            continue
        severity: Severity = "note"
        title = f"{item.test}: {item.verdict}"
        if item.verdict == "slower":
            title, severity = _severity(item, unfit)
        yield Finding(severity, item.verdict, title, (), shown(item))


def _severity(item: Judged, unfit: bool) -> tuple[str, Severity]:
    """A slower test: whether its budget allows that, and what its policy makes of it."""
    slower = f"{item.test}: slower by {formatting.percent(item.ratio - 1)}"
    if item.budget is not None and item.strict_low <= 1 + item.budget:
        return f"{slower}, not surely beyond its budget of {formatting.percent(item.budget)}", "note"
    if unfit:
        return slower, "note"
    severities: dict[str, Severity] = {"fail": "error", "warn": "warning", "off": "note"}
    return slower, severities[item.policy]


def shown(item: Judged) -> str:
    """`head / base 1.052, 1.047 to 1.057 (95 %), 1.04 to 1.06 decides, 80 rounds`."""
    interval = f"{item.low:.4f} to {item.high:.4f} (95 %), {item.strict_low:.4f} to {item.strict_high:.4f} decides"
    text = f"head / base {item.ratio:.4f}, {interval}, {formatting.count(item.rounds, 'round')}"
    return f"{text}; {item.reason}" if item.reason else text


def _tests(run: ProjectRun) -> Iterator[Finding]:
    """What became of the tests that were not compared, each by its name."""
    for item in run.tests:
        if item.status == "measured":
            if item.reason:
                yield Finding("warning", "cut", f"{item.id}: measured, but {item.reason}", (), "")
        elif item.status == "failed":
            severity: Severity = "error" if item.side == "head" else "warning"
            where = "head, not in base" if item.side == "head" else "base"
            yield Finding(severity, "failed", f"{item.id}: its test fails in {where}", (), item.reason)
        elif item.status == "vanished":
            yield Finding("warning", "vanished", f"{item.id}: n/a", (), item.reason)
        elif item.status != "unfinished":
            status = "n/a" if item.status == "new" else item.status
            yield Finding("note", item.status, f"{item.id}: {status}", (), item.reason)
    unreached = [item.id for item in run.tests if item.status == "unfinished"]
    if unreached:
        count = formatting.count(len(unreached), "benchmark")
        text = f"{count} not reached, the first one is {unreached[0]}"
        yield Finding("note", "unfinished", text, (), "All are in gate.json.")


def _run(run: ProjectRun) -> Iterator[Finding]:
    if run.absent:
        yield Finding("warning", "n/a", "Nothing could be compared", (), run.absent)
    if not run.finished:
        yield Finding("warning", "unfinished", "The run did not end", (), "What was measured is judged all the same.")
    for note in run.notes:
        yield Finding("note", "note", note, (), "")
    if run.waited_seconds >= 1:
        seconds = formatting.seconds(run.waited_seconds)
        yield Finding("note", "waited", f"Waited {seconds} in all for a calm machine", (), "")


def document(gate: ProjectGate, rates: dict[str, Any] | None = None) -> dict[str, Any]:
    """What `gate.json` holds."""
    run = gate.run
    return {
        "format": "triptych-project-gate",
        "version": 1,
        "started": run.started,
        "finished": run.finished,
        "exit": gate.exit,
        "verdict": gate.verdict,
        "green": run.green,
        "absent": run.absent,
        "base": asdict(run.base),
        "head": asdict(run.head),
        "environment": asdict(run.environment),
        "table": run.table,
        "comparisons": [asdict(item) for item in gate.comparisons],
        "tests": [asdict(item) for item in run.tests],
        "findings": [asdict(item) for item in gate.findings],
        "error_rates": rates,
    }
