"""`python -m reports.projects`: judges what a gate run of a project recorded.

Exit status 0: nothing got slower, or that is undecided; 1: head is worse; 2: the machine or the input is unfit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports.gate.verdict import UNFIT
from reports.projects import error_rates, output
from reports.projects.judge import judged
from suites.records import projects, terminal
from suites.records.run import RecordError


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m reports.projects",
        allow_abbrev=False,
        description="Judge a gate run of a project.",
    )
    parser.add_argument("--results", default="results", type=Path, metavar="FOLDER")
    options = parser.parse_known_args(arguments)[0]
    try:
        return judge(options.results)
    except RecordError as error:
        terminal.refuse(error)
        return UNFIT


def judge(results: Path) -> int:
    """Judge, write and print; the exit status. Raises RecordError."""
    gate = judged(projects.load(results / projects.NAME))
    rates = counted(results)
    output.write(gate, results, rates)
    print(output.table(gate, rates))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print("\n".join(output.github_lines(gate)))
    return gate.exit


def counted(results: Path) -> dict[str, Any] | None:
    """The error rates that `triptych calibrate` left here."""
    path = results / error_rates.NAME
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    sys.exit(main())
