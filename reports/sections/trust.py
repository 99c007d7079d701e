"""How far the verdicts can be trusted: planted faults by fault, controls, and the gate's verdicts on a scale."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from reports import formatting, verdicts
from reports.evidence.companion_files import Agreements, Controls, Faults, Gate, Planted
from reports.evidence.gate_file import Compared
from reports.verdicts import Verdict
from suites.records.run import Agreement

FOUND = Verdict("found", "check", "good", 1)
ELSEWHERE = Verdict("found elsewhere", "diamond", "warn", 3)
MISSED = Verdict("missed", "cross", "bad", 6)
ALARM = Verdict("false alarm", "cross", "bad", 6)
QUIET = Verdict("not flagged", "check", "good", 1)
SILENT = Verdict("no false alarm", "check", "good", 1)

GATE = {
    "slower": Verdict("slower", "cross", "bad", 6),
    "failed": Verdict("failed", "triangle", "bad", 5),
    "inconclusive": Verdict("inconclusive", "ring", "quiet", 3),
    "faster": Verdict("faster", "check", "good", 2),
    "same": Verdict("same", "check", "good", 1),
    "clean": Verdict("clean", "check", "good", 1),
    "regression": Verdict("regression", "cross", "bad", 6),
    "unfit": Verdict("machine unfit", "triangle", "warn", 5),
    "ok": Verdict("unchanged", "check", "good", 1),
    "fewer": Verdict("fewer", "check", "good", 1),
    "warn": Verdict("more", "diamond", "warn", 3),
    "fail": Verdict("over budget", "cross", "bad", 6),
}
TARGETS = {True: Verdict("met", "check", "good", 1), False: Verdict("missed", "cross", "bad", 6), None: verdicts.NONE}
REACH = 1.2  # ratios of the gate's plot go so far to either side


@dataclass(frozen=True)
class Fault:
    """All instances of one fault: how many were planted, found at all, and found in their layer and phase."""

    id: str
    title: str
    places: str
    planted: int
    found: int
    placed: int
    verdict: Verdict


@dataclass(frozen=True)
class Scoreboard:
    """Faults, the hardest first, and the changes that must not be flagged."""

    faults: list[Fault]
    harmless: list[Fault]
    clean: int
    alarms: int
    sentence: str

    @property
    def hard(self) -> list[Fault]:
        """Those that were missed or found elsewhere in some program."""
        return [fault for fault in self.faults if fault.verdict != FOUND]

    @property
    def easy(self) -> list[Fault]:
        """Those that were found in place in every program."""
        return [fault for fault in self.faults if fault.verdict == FOUND]

    @property
    def flagged(self) -> int:
        """Harmless changes that were called faults."""
        return sum(fault.verdict == ALARM for fault in self.harmless)


def scoreboard(found: Faults | None) -> Scoreboard | None:
    """The scoreboard by fault."""
    if found is None:
        return None
    groups: dict[tuple[str, str], list[Planted]] = {}
    for row in found.rows:
        if not row.skipped:
            groups.setdefault((row.kind, row.fault), []).append(row)
    made = {key: _fault(rows, key[0] == "fault") for key, rows in groups.items()}
    faults = [fault for (kind, _), fault in made.items() if kind == "fault"]
    harmless = [fault for (kind, _), fault in made.items() if kind != "fault"]
    faults.sort(key=lambda fault: (-fault.verdict.rank, fault.placed / fault.planted, fault.id))
    harmless.sort(key=lambda fault: (-fault.verdict.rank, fault.id))
    said = _sentence(faults)
    return Scoreboard(faults, harmless, found.clean_comparisons, found.false_alarms, said)


def _sentence(faults: list[Fault]) -> str:
    planted, found, placed = (sum(getattr(fault, name) for fault in faults) for name in ("planted", "found", "placed"))
    text = f"{formatting.count(len(faults), 'bug')} in {formatting.count(planted, 'program')}: {found} are found"
    share = f" ({formatting.percent(found / planted)})" if planted else ""
    return f"{text}{share}, {placed} of them in the exact layer and phase."


def _fault(rows: list[Planted], harmful: bool) -> Fault:
    found, placed = sum(row.detected for row in rows), sum(row.detected and row.placed for row in rows)
    if not harmful:
        verdict = ALARM if found else QUIET
    elif placed == len(rows):
        verdict = FOUND
    else:
        verdict = ELSEWHERE if found == len(rows) else MISSED
    places = formatting.listed(list(dict.fromkeys(f"{row.layer}, {row.phase}" for row in rows)))
    return Fault(rows[0].fault, rows[0].title, places, len(rows), found, placed, verdict)


def control(found: Controls | None) -> Verdict:
    """The verdict on all negative controls."""
    if found is None or not found.runs:
        return verdicts.NONE
    return ALARM if any(run.false_alarms for run in found.runs) else SILENT


def track(item: Compared) -> str:
    """Where ratio and interval are on an axis that is logarithmic and ends at REACH to either side, in thousandths."""
    ends = (("m", item.ratio), ("l", item.low), ("h", item.high))
    return ";".join(f"--{name}:{_at(end):.0f}" for name, end in ends if end is not None)


def band(margin: float) -> str:
    """The margin on the same axis."""
    return f"--u:{_at(1 - margin):.0f};--v:{_at(1 + margin):.0f}"


def _at(ratio: float) -> float:
    return 10 * formatting.along(ratio, 1 / REACH, REACH)


def worst_first(gate: Gate | None) -> list[tuple[Compared, Verdict]]:
    """The comparisons of a gate and their verdicts; those that prove the machine come last."""
    found = [(item, GATE.get(item.verdict, verdicts.NONE)) for item in (gate.comparisons if gate else ())]
    return sorted(found, key=lambda pair: (pair[0].role != "gate", -pair[1].rank))


def changed(gate: Gate | None) -> list[tuple[str, str, str]]:
    """What of the trees and their environments is not the same in base and head."""
    if gate is None:
        return []
    sides = (gate.base, gate.head)
    named = [("revision", [side.revision for side in sides]), ("Python", [side.python for side in sides])]
    packages: Iterable[str] = sorted({*gate.base.versions, *gate.head.versions})
    named += [(name, [side.versions.get(name, "none") for side in sides]) for name in packages]
    return [(name, before, after) for name, (before, after) in named if before != after]


@dataclass(frozen=True)
class Distance:
    """How far a way is from the oracle in one kind of trajectory: the worst model that has no excuse, else of all."""

    worst: Agreement
    verdict: Verdict


@dataclass(frozen=True)
class Trajectories:
    """Ways by kinds of trajectory; `rows[i][1][j]` is None where that was not run. `departs` says why and where."""

    whats: list[str]
    rows: list[tuple[Agreement, list[Distance | None]]]
    departs: dict[str, list[str]]
    sentence: str


def trajectories(found: Agreements | None) -> Trajectories | None:
    """The agreement over many steps, the worst of each way and kind."""
    if found is None or not found.rows:
        return None
    whats = list(dict.fromkeys(row.what for row in found.rows))
    own: dict[tuple[str, str, str], dict[str, list[Agreement]]] = {}
    departs: dict[str, dict[str, list[str]]] = {}
    for row in found.rows:
        own.setdefault((row.implementation, row.backend, row.mode), {}).setdefault(row.what, []).append(row)
        if row.departs and not row.met:
            way = formatting.configuration(row.implementation, row.backend)
            models = departs.setdefault(row.departs, {}).setdefault(way, [])
            if row.model not in models:
                models.append(row.model)
    rows = []
    for kinds in own.values():
        first = next(iter(kinds.values()))[0]
        rows.append((first, [_distance(kinds[what]) if what in kinds else None for what in whats]))
    reasons = {}
    for why, where in departs.items():
        reasons[why] = [f"{way} ({', '.join(models)})" for way, models in where.items()]
    return Trajectories(whats, rows, reasons, _agreed(found))


def _distance(rows: list[Agreement]) -> Distance:
    """A miss without an excuse outweighs one with, which outweighs the rest; a NaN is the worst of all."""
    verdict = max((_agrees(row) for row in rows), key=lambda verdict: verdict.rank)
    some = [row for row in rows if _agrees(row) == verdict]
    worst = max(some, key=lambda row: math.inf if math.isnan(row.disagreement) else row.disagreement)
    return Distance(worst, verdict)


def _agrees(row: Agreement) -> Verdict:
    if row.met:
        return verdicts.SAME
    return verdicts.EXPLAINED if row.departs else verdicts.DIFFERS


def _agreed(found: Agreements) -> str:
    """How many of one pass and of many steps agree, and how many depart."""
    said = []
    for kind, target in found.targets.items():
        rows = [row for row in found.rows if (row.steps == 1) == (kind == "one pass")]
        steps = "one pass" if kind == "one pass" else formatting.count(found.steps, "step")
        met = sum(row.met for row in rows)
        excused = sum(bool(row.departs) and not row.met for row in rows)
        text = f"after {steps} {met} of {len(rows)} agree to {formatting.small(target)}"
        missed = len(rows) - met - excused
        if excused:
            text += f", {excused} differ for a known reason"
        if missed:
            text += f", {missed} do not"
        said.append(text)
    return "; ".join(said).capitalize() + "."
