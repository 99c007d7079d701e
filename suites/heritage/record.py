"""What is kept of a run of every engine: small enough to be committed, and shown with its date and machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from suites.records import run as records
from suites.records.run import Cell, Run, Timing, Told

FORMAT, VERSION = "triptych-heritage", 1


@dataclass(frozen=True)
class Verdict:
    """What a stage of a cell came to: equal, departs (explained and bounded), different, absent, fails or skipped.

    `where` is what departs first and by how much, `cause` why, `programs` what each smallest program prints; `known`
    False: nobody has explained it yet.
    """

    cell: Cell
    stage: str
    word: str
    where: str = ""
    cause: str = ""
    known: bool = True
    programs: dict[str, str] = field(default_factory=dict)


def document(run: Run, verdicts: Iterable[Verdict], told: Iterable[Told]) -> dict[str, Any]:
    """The content of the file."""
    machine = run.environment
    return {
        "format": FORMAT,
        "version": VERSION,
        "started": run.started,
        "finished": run.finished,
        "machine": {"cpu": machine.cpu, "cores": machine.cores, "system": machine.system, "commit": machine.commit},
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "stories": [asdict(story) for story in told],
        "timings": [_timing(timing) for timing in run.timings],
        "engines": _engines(run),
        "programs": [
            {"model": item.model, "implementation": item.implementation, "lines": item.logical_lines}
            for item in run.programs
        ],
    }


def _timing(timing: Timing) -> dict[str, Any]:
    """The rounds in seconds a call, four digits of each."""
    each = [float(f"{seconds / timing.iterations:.4g}") for seconds in timing.seconds]
    group = {"group": timing.group, "batch_size": timing.batch_size, "threads": timing.threads}
    return {"cell": asdict(timing.cell), "what": timing.what, "seconds": each, **group}


def _engines(run: Run) -> list[dict[str, Any]]:
    """What each way ran on."""
    found = {(item.implementation, item.backend): (item.python, item.versions) for item in run.services}
    return [
        {"implementation": way[0], "backend": way[1], "python": python, "versions": versions}
        for way, (python, versions) in sorted(found.items())
    ]


def save(run: Run, verdicts: Iterable[Verdict], told: Iterable[Told], path: Path) -> None:
    """Write the file."""
    records.write(path, json.dumps(document(run, verdicts, told), separators=(",", ":")) + "\n")
