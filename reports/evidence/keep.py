"""`python -m reports.evidence.keep run.json ...`: keeps what only full runs measure, for the pages of quick ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reports.evidence.load import LATER, MEASURED, gather, setting
from suites.records import run as records
from suites.records import terminal
from suites.records.run import RecordError, Run

BAD_INPUT = 2


def slim(runs: Sequence[Run]) -> Run:
    """Only what is kept of `runs`, the newest of each, with the machine and the time of the newest run."""
    found, newest = gather(runs), max(runs, key=lambda run: run.started)
    parts: dict[str, Any] = {name: list(getattr(found, name)) for name in LATER}
    about = Run(newest.id, newest.started, newest.options, newest.environment, found.titles, newest.finished)
    return replace(about, **parts)


def main(arguments: Sequence[str] | None = None, place: Path = MEASURED) -> int:
    """Write the kept file from runs of one machine. 2: no such run, several machines, or nothing to keep."""
    terminal.begin()
    paths = sys.argv[1:] if arguments is None else list(arguments)
    try:
        runs = [records.load(Path(path)) for path in paths]
        wrong = _wrong(runs)
    except RecordError as error:
        wrong = str(error)
    if wrong:
        return terminal.refuse(wrong)
    records.write(place, records.document(slim(runs)) + "\n")
    print(f"wrote {place}")
    return 0


def _wrong(runs: Sequence[Run]) -> str:
    """Why these runs can't be kept; "" where they can."""
    if not runs:
        return "name one or more result files of full runs"
    if len({setting(run) for run in runs}) > 1:
        return "the runs are of several machines or versions: keep those of one"
    missing = [name for name in LATER if not any(getattr(run, name) for run in runs)]
    return f"the runs have no {' and no '.join(missing)}: a full run measures them" if missing else ""


if __name__ == "__main__":
    sys.exit(main())
