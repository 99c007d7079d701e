"""`python -m reports.gate`: judges what two revisions recorded, by the rule that also ended their rounds.

Exit status 0: clean, 1: head is worse, 2: the machine or the input is unfit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reports.gate import budgets, output
from reports.gate.judge import document, judged
from reports.gate.verdict import UNFIT
from suites.records import gate as gate_records
from suites.records import terminal
from suites.records.run import RecordError


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m reports.gate", allow_abbrev=False, description="Judge what a gate run recorded."
    )
    parser.add_argument("--results", default="results", type=Path, metavar="FOLDER")
    parser.add_argument("--budgets", default=budgets.TABLE, type=Path, metavar="TOML", help="policies and budgets")
    options = parser.parse_known_args(arguments)[0]
    try:
        duels = gate_records.load(options.results / gate_records.NAME)
        gate = judged(duels, budgets.load(options.budgets))
    except (RecordError, budgets.BudgetError) as error:
        terminal.refuse(error)
        return UNFIT
    output.write(gate, document(gate), options.results)
    print(output.table(gate))
    return gate.exit


if __name__ == "__main__":
    sys.exit(main())
