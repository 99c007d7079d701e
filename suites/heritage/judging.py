"""What a stage of a cell comes to: compared with the oracle, localised, and explained by a known difference."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace

from suites.equivalence.judge import first_difference, judge
from suites.equivalence.localise import Location
from suites.heritage import causes
from suites.heritage.record import Verdict
from suites.heritage.shown import shows
from suites.records.run import Cell, Comparison
from suites.runner import plan
from suites.runner.laboratory import Laboratory, StageFailed
from suites.runner.stages import BOUNDS
from suites.runner.workers import Arrays

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
    expected = shown(truth, found)
    rows = judge(cell, stage, found, expected, {name: spread[name] for name in expected})
    location = first_difference(rows, found, expected, stage)
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
    lack = causes.lack(cell, stage)
    if lack is None:
        return Verdict(cell, stage, "fails", reason, known=False)
    return Verdict(cell, stage, "absent", cause=lack.reason, programs=repeated(cell, lack.programs))


def repeated(cell: Cell, programs: Iterable[str]) -> dict[str, str]:
    """What the smallest programs print; one that shows nothing any more says so."""
    return {name: _repeated(name, cell.implementation, cell.backend) for name in programs}


@functools.cache
def _repeated(name: str, implementation: str, backend: str) -> str:
    still, text = shows(name, implementation, backend)
    return text if still else f"not shown any more: {text}"
