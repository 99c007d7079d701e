"""What came of every planted fault, and of the comparisons without one: counted, saved, told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from suites.equivalence.localise import Location
from suites.faults.catalogue import Instance
from suites.records import run as records
from suites.runner import plan
from suites.runner.laboratory import now

FEW = 8  # instances of which each is told in full


@dataclass
class Row:
    """One instance and what came of it."""

    instance: Instance
    location: Location | None = None
    error: str = ""  # what the program raised: found, but not localised
    broken: str = ""  # what the suite itself failed at: no evidence of anything
    skipped: str = ""
    seconds: float = 0.0

    @property
    def detected(self) -> bool:
        return self.location is not None or bool(self.error)

    @property
    def layer_found(self) -> bool:
        return self.location is not None and self.location.layer == self.instance.layer

    @property
    def found(self) -> bool:
        """In the exact layer and phase."""
        return self.layer_found and self.location is not None and self.location.phase == self.instance.phase

    @property
    def kind(self) -> str:
        if self.instance.equivalent:
            return "equivalent"
        return "benign" if self.instance.benign else "fault"

    def record(self) -> dict[str, Any]:
        """As it is saved: the instance, and where it was found."""
        found: dict[str, Any] = dict.fromkeys(("found_layer", "found_phase", "tensor", "moment"))
        if (place := self.location) is not None:
            found = {"found_layer": place.layer, "found_phase": place.phase}
            found |= {"tensor": place.tensor, "moment": place.moment}
        end = {"error": self.error, "broken": self.broken, "skipped": self.skipped, "seconds": round(self.seconds, 3)}
        told = {"message": str(place or ""), "command": self.instance.command}
        return {**asdict(self.instance), "kind": self.kind, "detected": self.detected, **found, **told, **end}

    def report(self) -> str:
        """What was found, in full."""
        wanted = f"{self.instance.layer}, {self.instance.phase}"
        lines = [f"{self.instance.label}: {self.instance.title}"]
        if self.kind == "fault" and not self.found:
            lines.append(f"  expected      {wanted}")
        if self.location is not None:
            lines.append(self.location.report(self.instance.command))
        else:
            told = {"raised": self.error, "the suite": self.broken, "alone": self.instance.command}
            lines += [f"  {name:<14}{text}" for name, text in told.items() if text]
        return "\n".join(lines)


class Alarm(NamedTuple):
    """What departed, or failed, where no fault was planted: in the program of `instance` without its fault."""

    instance: Instance
    location: Location | None
    error: str = ""

    def __str__(self) -> str:
        return f"{plan.label(self.instance.cell)}: {self.location or self.error}"

    def report(self) -> str:
        command = f"{self.instance.command} --clean"
        told = f"  raised        {self.error}\n  alone         {command}"
        return f"{plan.label(self.instance.cell)}\n{self.location.report(command) if self.location else told}"


@dataclass
class Score:
    """All rows, and the comparisons without a fault."""

    rows: list[Row] = field(default_factory=list)
    clean: int = 0
    alarms: list[Alarm] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    started: str = field(default_factory=now)

    def add(self, part: Score) -> None:
        """Take in what one worker's instances came to."""
        self.rows += part.rows
        self.clean += part.clean
        self.alarms += part.alarms
        self.skipped |= part.skipped

    def of(self, kind: str) -> list[Row]:
        return [row for row in self.rows if row.kind == kind and not row.skipped and not row.broken]

    @property
    def broken(self) -> list[Row]:
        """Where the suite failed: neither found nor missed."""
        return [row for row in self.rows if row.broken]

    @property
    def missed(self) -> list[Row]:
        return [row for row in self.of("fault") if not row.detected]

    @property
    def wrongly_found(self) -> list[Row]:
        """Equivalent ones that do depart: they are not equivalent; and changes that were said to be only rounding."""
        return [row for row in [*self.of("equivalent"), *self.of("benign")] if row.detected]

    @property
    def good(self) -> bool:
        return not (self.missed or self.wrongly_found or self.alarms or self.broken)

    def document(self) -> dict[str, Any]:
        """What results/faults.json holds; without `environment`, which takes a second to find out."""
        planted, benign = self.of("fault"), self.of("benign")
        return {
            "faults": len({row.instance.fault for row in planted}),
            "instances": len(planted),
            "detected": sum(row.detected for row in planted),
            "localised_layer": sum(row.layer_found for row in planted),
            "localised_layer_and_phase": sum(row.found for row in planted),
            "equivalent": len(self.of("equivalent")),
            "clean_comparisons": self.clean + len(benign),
            "false_alarms": len(self.alarms) + sum(row.detected for row in benign),
            "suite_errors": len(self.broken),
            "seconds": round(self.seconds, 1),
            "skipped": self.skipped,
            "alarms": list(map(str, self.alarms)),
            "started": self.started,
            "rows": [row.record() for row in self.rows],
        }


def save(document: dict[str, Any], path: Path) -> None:
    """Write the file, see `records.write`."""
    records.write(path, json.dumps(document, indent=1))


def share(part: int, whole: int) -> str:
    """`710 of 710 (100.0 %)`, rounded down: 100 % means all."""
    return f"{part} of {whole}" + (f" ({1000 * part // whole / 10} %)" if whole else "")


def summary(score: Score) -> str:
    """The counts for a person, what each phase came to, and the reason of every equivalent."""
    counts, planted = score.document(), score.of("fault")
    lines = [
        f"{counts['faults']} faults in {len(planted)} instances: {share(counts['detected'], len(planted))} detected",
        f"  in the exact layer  {share(counts['localised_layer'], len(planted))}",
        f"  in layer and phase  {share(counts['localised_layer_and_phase'], len(planted))}",
    ]
    phases = Counter(row.instance.phase for row in planted)
    right = Counter(row.instance.phase for row in planted if row.found)
    lines.append("  by phase            " + ", ".join(f"{p} {right[p]}/{n}" for p, n in phases.most_common()))
    equivalent = {row.instance.fault: row.instance.equivalent for row in score.of("equivalent")}
    lines += [f"  equivalent, apart   {fault}: {reason}" for fault, reason in equivalent.items()]
    lines.append(f"{counts['clean_comparisons']} comparisons without a fault, {counts['false_alarms']} false alarms")
    if score.broken:
        lines.append(f"{len(score.broken)} at which the suite itself failed")
    lines += [f"not run: {key}: {reason}" for key, reason in score.skipped.items()]
    return "\n".join([*lines, f"{counts['seconds']} s"])


def table(score: Score) -> str:
    """The summary, and all that was missed, found elsewhere or flagged wrongly; of a FEW instances each one."""
    few = []
    if len(score.rows) <= FEW:
        few = [row for row in score.of("fault") if row.found]
    elsewhere = [row for row in score.of("fault") if row.detected and not row.found]
    groups: dict[str, Iterable[Row | Alarm]] = {
        "FOUND": few,
        "FOUND ELSEWHERE": elsewhere,
        "MISSED": score.missed,
        "NOT WHAT IT WAS SAID TO BE": score.wrongly_found,
        "FALSE ALARM": score.alarms,
        "THE SUITE FAILED": score.broken,
    }
    told = [f"{title}: {item.report()}" for title, items in groups.items() for item in items]
    return "\n\n".join([*told, summary(score)])
