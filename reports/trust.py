"""How far the verdicts can be trusted: planted faults by fault, controls, and the gate's verdicts on a scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reports import verdicts, words
from reports.proofs import Compared, Controls, Faults, Gate, Planted
from reports.verdicts import Verdict

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
    text = f"{words.count(len(faults), 'fault')} in {words.count(planted, 'program')}: {found} are found"
    share = f" ({words.percent(found / planted)})" if planted else ""
    return f"{text}{share}, {placed} of them in the exact layer and phase."


def _fault(rows: list[Planted], harmful: bool) -> Fault:
    found, placed = sum(row.detected for row in rows), sum(row.detected and row.placed for row in rows)
    verdict = FOUND if placed == len(rows) else ELSEWHERE if found == len(rows) else MISSED
    if not harmful:
        verdict = ALARM if found else QUIET
    places = words.listed(list(dict.fromkeys(f"{row.layer}, {row.phase}" for row in rows)))
    return Fault(rows[0].fault, rows[0].title, places, len(rows), found, placed, verdict)


def control(found: Controls | None) -> Verdict:
    """The verdict on all negative controls."""
    if found is None or not found.runs:
        return verdicts.NONE
    return ALARM if any(run.false_alarms for run in found.runs) else SILENT


def at(ratio: float) -> float:
    """Percent along the gate's axis of ratios, which is logarithmic and ends at REACH to either side."""
    return words.along(ratio, 1 / REACH, REACH)


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
