"""`python -m reports.evidence.keep run.json`: keeps what only a full run measures, for the pages of quick ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reports.evidence.load import LATER, MEASURED
from suites.records import run as records
from suites.records.run import RecordError, Run

BAD_INPUT = 2


def slim(run: Run) -> Run:
    """Only what is kept, with the machine and the time."""
    parts = {name: getattr(run, name) for name in LATER}
    about = Run(run.id, run.started, run.options, run.environment, run.titles, run.finished)
    return replace(about, **parts)


def main(arguments: Sequence[str] | None = None, place: Path = MEASURED) -> int:
    """Write the kept file from a run. 2: no such run, or it has nothing to keep."""
    paths = sys.argv[1:] if arguments is None else list(arguments)
    if len(paths) != 1:
        print("error: name one result file of a full run", file=sys.stderr)
        return BAD_INPUT
    try:
        run = records.load(Path(paths[0]))
    except RecordError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    missing = [name for name in LATER if not getattr(run, name)]
    if missing:
        print(f"error: {paths[0]} has no {' and no '.join(missing)}: a full run measures them", file=sys.stderr)
        return BAD_INPUT
    records.write(place, records.document(slim(run)) + "\n")
    print(f"wrote {place}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
