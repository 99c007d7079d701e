"""`python -m reports.page [run.json ...]`: write one page, or Markdown, CSV or JSON, from saved results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reports.evidence.load import RESULTS, Evidence, kept, load
from reports.findings import failing, findings
from reports.formats import tables, terminal
from reports.page import render
from reports.sections import speed
from suites.records import terminal as messages
from suites.records.run import RecordError

OUTPUT = Path("report")
BAD_INPUT = 2
FORMATS = {"html": render.page, "md": tables.markdown, "csv": tables.table, "json": tables.json_text}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="triptych report", description=(__doc__ or "").split("`: ")[-1])
    parser.add_argument("runs", nargs="*", type=Path, metavar="run.json", help="result files (default: the newest)")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"where the newest is looked for ({RESULTS}/)")
    parser.add_argument("--output", help=f"the file to write, - for the terminal ({OUTPUT}/triptych.<format>)")
    parser.add_argument("--format", choices=FORMATS, default="html", help="default: html")
    parser.add_argument("--reference", default="/".join(speed.DEFAULT), metavar="IMPLEMENTATION/BACKEND")
    parser.add_argument("--summary", action="store_true", help="also print the results in short")
    parser.add_argument("--check", action="store_true", help="exit status 1 where a finding is an error")
    return parser.parse_args(arguments)


@messages.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and say where it is. 2: a file can't be read or written, or the reference is unknown."""
    options = parse(arguments)
    try:
        evidence = load(options.runs, options.results)
        reference = chosen(options.reference, evidence)
        text = FORMATS[options.format](evidence, reference)
        place = write(text, options)
    except (RecordError, OutputError) as error:
        return messages.refuse(error)
    if options.summary:
        print("\n\n".join(terminal.text(run, kept(options.results)) for run in evidence.runs))
    if place:
        print(f"wrote {place} ({len(text.encode()) / 1e3:.0f} kB)")
    return int(options.check and any(failing(findings(run)) for run in evidence.runs))


class OutputError(ValueError):
    """Something asked for that can't be; the message says what can."""


def chosen(text: str, evidence: Evidence) -> speed.Reference:
    """The reference named `implementation/backend`. Raises OutputError where nothing was timed under that name."""
    reference = speed.Reference(*text.split("/")) if text.count("/") == 1 else None
    known = dict.fromkeys(speed.Reference(item.cell.implementation, item.cell.backend) for item in evidence.timings)
    if reference == speed.DEFAULT or reference in known:
        return reference or speed.DEFAULT
    raise OutputError(f"unknown reference {text!r}: timed are {', '.join('/'.join(item) for item in known) or 'none'}")


def write(text: str, options: argparse.Namespace) -> Path | None:
    """Write `text` where the options say; None where that is the terminal."""
    if options.output == "-":
        sys.stdout.write(text)
        return None
    path = Path(options.output) if options.output else OUTPUT / f"triptych.{options.format}"
    if path.resolve().is_relative_to(options.results.resolve()):
        raise OutputError(f"{path}: {options.results}/ holds raw results, a report is never written there")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error}") from error
    return path


if __name__ == "__main__":
    sys.exit(main())
