"""`python -m suites.heritage`: every engine, then and now, against the oracle, and timed side by side.

Cells that run in environments of their own and those of today are compared stage by stage. What is above its bound is
a finding: localised to the first layer and phase that depart, and explained by `findings.toml`. One that nobody has
explained makes the exit status 1; an engine that lacks a precision or can't be tapped says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from impls import IMPLEMENTATIONS, MODELS
from suites import plan
from suites.code import counts
from suites.equivalence.bounds import bounds, owed
from suites.equivalence.compare import comparisons, exceeding
from suites.equivalence.departures import explained
from suites.equivalence.localise import Location, locate
from suites.heritage import causes, environments, record
from suites.heritage.record import Verdict
from suites.heritage.shown import shows
from suites.laboratory import Laboratory, StageFailed, new_run
from suites.machine import ROOT
from suites.plan import Selection
from suites.records import Cell, Comparison
from suites.speed.bench import WHATS, SpeedLaboratory
from suites.stages import BOUNDS
from suites.workers import Arrays

KEPT = ROOT / "reports" / "data" / "heritage.json"
STAGES = {"float64": ("gradients", "trajectory"), "float32": ("float32_step",)}
ELSEWHERE = tuple(name for name, entry in IMPLEMENTATIONS.items() if entry.environments)
TODAY = (("raw_tf", "tensorflow"), ("raw_torch", "torch"), ("raw_jax", "jax"), ("shim", "numpy"))  # one an engine
SHOWN = ("activation/", "cotangent/", "gradient/", "slot/")  # what an engine may have no way to show


def line(verdict: Verdict) -> str:
    """A verdict for a person."""
    cause = verdict.cause or ("" if verdict.known else "nobody has explained this yet")
    return " ".join(filter(None, (plan.label(verdict.cell), f"{verdict.stage}:", verdict.word, verdict.where, cause)))


def shown(truth: Arrays, found: Arrays) -> Arrays:
    """`truth` without the kinds of tensors of which the engine shows none."""
    silent = [kind for kind in SHOWN if not any(name.startswith(kind) for name in found)]
    return {name: value for name, value in truth.items() if not name.startswith(tuple(silent))}


def compared(laboratory: Laboratory, cell: Cell, stage: str) -> Verdict:
    """Compare one stage with the oracle, record every tensor, and explain what is above its bound."""
    reference = plan.oracle(cell)
    try:
        found, truth = laboratory.evidence(cell, stage), laboratory.evidence(reference, stage)
        spread = laboratory.evidence(reference, BOUNDS[stage])
    except StageFailed as failure:
        return failed(cell, stage, str(failure).splitlines()[0])
    expected = shown(owed(cell, stage, truth), found)
    limits = bounds(cell, truth, spread)
    rows = explained(comparisons(cell, reference, found, expected, limits), stage)
    location = locate(MODELS[cell.model].at(cell.size), exceeding(rows), found, expected, stage)
    verdict = judged(cell, stage, rows, location)
    late = set(location.departed if location and verdict.known else ())
    rows = [replace(row, cause=verdict.cause, departs=True) if row.tensor in late else row for row in rows]
    laboratory.record(comparisons=rows)
    laboratory.passed(cell, "equivalence")
    return verdict


def judged(cell: Cell, stage: str, rows: Sequence[Comparison], location: Location | None) -> Verdict:
    """The verdict of a stage, with the cause of what departs."""
    if location is None:
        causes_of = {row.cause for row in rows if row.departs}
        return Verdict(cell, stage, "departs" if causes_of else "equal", cause="; ".join(sorted(causes_of)))
    cause = causes.cause(cell, location)
    if cause is None:
        return Verdict(cell, stage, "different", str(location), known=False)
    return Verdict(cell, stage, "different", str(location), cause.text, programs=repeated(cell, cause.programs))


def failed(cell: Cell, stage: str, reason: str) -> Verdict:
    """A stage that did not run: what an engine never had is known."""
    lack = causes.lack(cell)
    if lack is None:
        return Verdict(cell, stage, "fails", reason, known=False)
    return Verdict(cell, stage, "absent", cause=lack.reason, programs=repeated(cell, lack.programs))


def repeated(cell: Cell, programs: Iterable[str]) -> dict[str, str]:
    """What the smallest programs print; one that shows nothing any more says so."""
    found = {name: shows(name, cell.implementation, cell.backend) for name in programs}
    return {name: text if still else f"not shown any more: {text}" for name, (still, text) in found.items()}


def cells(selection: Selection) -> dict[str, list[Cell]]:
    """The cells of each precision: today's in float64 only, as the quick tests prove them in both."""
    older = replace(selection, implementations=selection.implementations or ELSEWHERE)
    today = [cell for cell in selection.cells("float64") if (cell.implementation, cell.backend) in TODAY]
    found = {"float64": list(dict.fromkeys([*today, *older.cells("float64")])), "float32": older.cells("float32")}
    return {dtype: [cell for cell in some if _shown(cell)] for dtype, some in found.items()}


def _shown(cell: Cell) -> bool:
    return cell.implementation in ELSEWHERE or (cell.implementation, cell.backend) in TODAY


def equivalence(laboratory: Laboratory, chosen: dict[str, list[Cell]]) -> Iterator[Verdict]:
    """Every stage of every cell that can run here."""
    planned = [(cell, stage) for dtype, some in chosen.items() for cell in some for stage in STAGES[dtype]]
    laboratory.begin(planned)
    for cell, stage in planned:
        reason = laboratory.unavailable(cell)
        yield Verdict(cell, stage, "skipped", reason) if reason else compared(laboratory, cell, stage)


def speed(laboratory: Laboratory, chosen: Iterable[Cell]) -> Iterator[str]:
    """Time the cells of each model side by side; a line for each that could not be."""
    here = [cell for cell in chosen if not laboratory.unavailable(cell)]
    timed = SpeedLaboratory(laboratory, here)
    for cell in here:
        for what in WHATS:
            if failure := timed.arm(cell, what).failure:
                yield f"{plan.label(cell)} {what}: {failure}"
    timed.close()


def lines(laboratory: Laboratory, chosen: Iterable[Cell]) -> None:
    """Count each program once."""
    found = dict.fromkeys((cell.model, cell.implementation) for cell in chosen)
    programs = [counts.program(*item) for item in found if plan.program_path(Cell(*item, "", "", "", "")).is_file()]
    laboratory.record(programs=programs)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m suites.heritage")
    for option in ("model", "implementation", "backend"):
        parser.add_argument(f"--{option}", default="", help="comma-separated (default: all)")
    parser.add_argument("--no-speed", action="store_true", help="only equivalence")
    parser.add_argument("--threads", type=int, default=1, help="threads of each worker (default: 1)")
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="where the run is saved")
    parser.add_argument("--keep", action="store_true", help=f"also write {KEPT.relative_to(ROOT)}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, time, count, print a line for each. 0: every difference is explained, 1: one is not, 2: bad input."""
    options = parse(arguments)
    words = {"model": options.model, "implementation": options.implementation, "backend": options.backend}
    try:
        selection = plan.selection({**dict.fromkeys(("mode", "device", "size", "require"), ""), **words})
    except plan.PlanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    run = new_run({**words, "heritage": "True", "threads": str(options.threads)})
    chosen = cells(selection)
    for environment in environments.environments().values():
        environment.link()
    with Laboratory(selection, run, options.results, options.threads, quick=True) as laboratory:
        verdicts = []
        for verdict in equivalence(laboratory, chosen):
            verdicts.append(verdict)
            print(line(verdict), flush=True)
        everyone = [replace(cell, dtype="float32") for cell in chosen["float64"]]
        lines(laboratory, everyone)
        for failure in speed(laboratory, everyone) if not options.no_speed else ():
            print(failure, flush=True)
    if options.keep:
        record.save(run, verdicts, KEPT)
    return int(not all(verdict.known for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
