"""Two stored runs next to each other: what is not the same in them, and what can't be compared and why."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from reports import formatting
from reports.evidence.load import Evidence, gather, setting
from reports.sections import equivalence, training
from reports.sections.history import Ratios, differences
from reports.statistics.change_points import SHIFT
from reports.verdicts import Verdict
from suites.records.run import Run

SLOWER = Verdict("slower", "cross", "bad", 6)
FASTER = Verdict("faster", "check", "good", 1)
CHANGED = Verdict("changed", "diamond", "warn", 3)
ONCE = Verdict("in one only", "ring", "quiet", 2)
MOVES = 5  # of ratios that are not shown to have changed, the largest ones
VERDICTS = (SLOWER, FASTER, CHANGED, ONCE)

Name = tuple[str, str]


class Fact(NamedTuple):
    """One result of a run as it is written, what counts first; of a ratio also the value and its interval."""

    text: str
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Row:
    """A result that differs between two runs."""

    kind: str
    name: str
    before: str
    after: str
    change: str
    verdict: Verdict


@dataclass(frozen=True)
class Unshown:
    """A ratio that is not shown to have changed: how far it moved, and how far it would have had to."""

    name: str
    change: float
    needed: float


@dataclass(frozen=True)
class Pair:
    """Two runs: `reasons` say why times are left out, `rows` what differs, `same` how many are not shown to."""

    before: Run
    after: Run
    reasons: list[str]
    rows: list[Row]
    same: int
    unshown: list[Unshown]

    @property
    def sentence(self) -> str:
        """What changed, what is not shown to have changed, and what this pair could have shown."""
        text = f"{formatting.count(len(self.rows), 'result')} changed, {self.same} are not shown to have changed."
        if not self.unshown:
            return text
        needed = [item.needed for item in self.unshown]
        half, all_ = (formatting.number(value, 2) for value in (median(needed), max(needed)))
        text += f" Of the ratios, half would have had to grow {half}-fold to be shown, the least certain {all_}-fold."
        moves = [f"{item.name} {formatting.ratio(item.change)}" for item in self.unshown[:MOVES]]
        return f"{text} The largest moves that are not shown: {'; '.join(moves)}."


Facts = dict[str, dict[Name, Fact]]


def facts(evidence: Evidence, ratios: Ratios) -> Facts:
    """Everything that each stored run says, by the run's id; nothing where there is only one."""
    if len(evidence.stored) < 2:
        return {}
    return {run.id: dict(_facts(run, ratios)) for run in evidence.stored}


def _facts(run: Run, ratios: Ratios) -> Iterator[tuple[Name, Fact]]:
    own = gather([run])
    for item in equivalence.matrix(own).judged():
        worst = f", worst {formatting.small(item.worst.disagreement)}" if item.worst else ""
        yield ("equivalence", formatting.name(item.cell)), Fact(item.verdict.word + worst)
    for row in training.report(own).rows:
        it = row.training
        yield ("training", formatting.name(it.cell)), Fact(f"{row.verdict.word} {formatting.metric(it, it.value)}")
    for program in own.programs:
        yield (
            ("code", f"{program.model}, {program.implementation}"),
            Fact(formatting.count(program.logical_lines, "line")),
        )
    for (cell, what, batch, threads), ratio in ratios[run.id].items():
        name = (
            f"{formatting.name(cell)}, {formatting.WHATS[what]}, batch {batch}, {formatting.count(threads, 'thread')}"
        )
        ends = [float(f"{end:.4g}") for end in (ratio.value, ratio.low, ratio.high)]
        yield ("speed", name), Fact(formatting.ratio(ends[0]), *ends)


def default(evidence: Evidence, found: Facts) -> Pair | None:
    """The newest run against the newest older one of its setting, else against the one before it."""
    if len(evidence.stored) < 2:
        return None
    *older, newest = evidence.stored
    like = [run for run in older if setting(run) == setting(newest)]
    return pair((like or older)[-1], newest, found)


def pair(before: Run, after: Run, found: Facts) -> Pair:
    """What differs from `before` to `after`."""
    reasons, a, b = differences(before, after), found[before.id], found[after.id]
    names = list(dict.fromkeys([*a, *b]))
    if reasons:  # times of other machines or versions are no change
        names = [name for name in names if name[0] != "speed"]
    compared = [_row(name, a.get(name), b.get(name)) for name in names]
    rows = [row for row in compared if row]
    ordered = sorted(rows, key=lambda row: -row.verdict.rank)
    shown = {(row.kind, row.name) for row in rows}
    unshown = [_unshown(name, a[name], b[name]) for name in names if name[0] == "speed" and name not in shown]
    unshown.sort(key=lambda item: -abs(math.log(item.change)))
    return Pair(before, after, reasons, ordered, len(names) - len(rows), unshown)


def _unshown(name: Name, a: Fact, b: Fact) -> Unshown:
    """The change from which on the intervals of both would have been SHIFT apart."""
    return Unshown(name[1], b.value / a.value, a.high / a.value * SHIFT * b.value / b.low)


def _row(name: Name, a: Fact | None, b: Fact | None) -> Row | None:
    if a is None or b is None:
        return Row(*name, a.text if a else "", b.text if b else "", "", ONCE)
    if name[0] != "speed":
        return None if a.text.split(",")[0] == b.text.split(",")[0] else Row(*name, a.text, b.text, "", CHANGED)
    slower, faster = b.low > a.high * SHIFT, b.high * SHIFT < a.low
    change = formatting.ratio(b.value / a.value)
    if not slower and not faster:
        return None
    return Row(*name, a.text, b.text, change, SLOWER if slower else FASTER)


def compared(
    evidence: Evidence, found: Facts, chosen: Pair | None, limit: int, packed: Callable[[str], str]
) -> tuple[list[Run], str]:
    """The newest runs, as many as fit into `limit` bytes, and all their facts packed for the script to compare any two.

    The chosen pair is always among them; there are none where there is no pair.
    """
    if chosen is None:
        return [], ""
    stored, always, count = evidence.stored, (chosen.before.id, chosen.after.id), len(evidence.stored)
    while True:
        runs = [run for at, run in enumerate(stored) if at >= len(stored) - count or run.id in always]
        pack = packed(document(runs, found))
        if len(pack) <= limit or count <= 2:
            return runs, pack
        count //= 2


def document(runs: Sequence[Run], found: Facts) -> str:
    """All facts of `runs` as JSON."""
    names = list(dict.fromkeys(name for run in runs for name in found[run.id]))
    about = [{"id": run.id, "started": run.started, "setting": _written(run)} for run in runs]
    values = [[_value(found[run.id].get(name)) for run in runs] for name in names]
    return json.dumps({"runs": about, "names": names, "values": values}, separators=(",", ":"))


def _written(run: Run) -> dict[str, str]:
    env = run.environment
    own = {"processor": env.cpu, "cores": str(env.cores), "GPU": env.gpu or "none", "Python": env.python}
    return own | dict(sorted(env.packages.items()))


def _value(fact: Fact | None) -> Sequence[Any] | str | None:
    if fact is None or not fact.value:
        return fact and fact.text
    return fact[1:]  # its text follows from the number
