"""What a run found that a person has to know: one list, which the page shows and an exit status can follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from reports import formatting, verdicts
from reports.sections import costs
from suites.records.run import Cell, Comparison, Outcome, Run, Stage, Training

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing found; `cells` are the cells that it is about."""

    severity: Severity
    kind: str
    title: str
    cells: tuple[Cell, ...]
    detail: str


def findings(run: Run) -> list[Finding]:
    """Everything found in `run`, errors first, in the order of the records within a severity."""
    found = [
        *_unfinished(run),
        *_outcomes(run.outcomes),
        *_missing(run),
        *_comparisons(run.comparisons),
        *_accuracy(run.trainings),
        *_machine(run),
    ]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def failing(found: Iterable[Finding]) -> bool:
    """Whether a gate on these findings has to fail."""
    return any(finding.severity == "error" for finding in found)


def _unfinished(run: Run) -> Iterator[Finding]:
    if not run.finished:
        yield Finding("error", "unfinished", "The run did not end", (), "It was interrupted: what follows is a part.")


def _outcomes(outcomes: Iterable[Outcome]) -> Iterator[Finding]:
    """One finding for each stage and reason, however many cells it took with it."""
    groups: dict[tuple[str, str, str], dict[Cell, None]] = {}
    for outcome in outcomes:
        if outcome.status != "ok":
            groups.setdefault((outcome.status, outcome.stage, outcome.reason), {})[outcome.cell] = None
    for (status, stage, reason), cells in groups.items():
        severity: Severity = "error" if status == "failed" else "note"
        title = f"{_subject(list(cells))}: {formatting.STAGES[stage]} {status}"
        yield Finding(severity, status, title, tuple(cells), reason or "no reason was recorded")


def _missing(run: Run) -> Iterator[Finding]:
    """Stages that were planned and have no outcome, and stages that ended well and left nothing behind."""
    known = {(outcome.cell, outcome.stage) for outcome in run.outcomes}
    gone = {outcome.cell for outcome in run.outcomes if outcome.stage == "start" and outcome.status != "ok"}
    wanted = dict.fromkeys([*((plan.cell, plan.stage) for plan in run.planned), *_holes(run)])
    for cell, stage in wanted:
        if (cell, stage) not in known and cell not in gone:
            title = f"{formatting.name(cell)}: no outcome of {formatting.STAGES[stage]}"
            yield Finding("error", "missing", title, (cell,), "Planned, and neither done, failed nor skipped.")
    evidence = _evidence(run)
    for outcome in run.outcomes:
        if outcome.status == "ok" and outcome.stage in evidence and outcome.cell not in evidence[outcome.stage]:
            title = f"{formatting.name(outcome.cell)}: {formatting.STAGES[outcome.stage]} left no evidence"
            yield Finding("error", "missing", title, (outcome.cell,), "It is said to have ended well.")


def _evidence(run: Run) -> dict[str, set[Cell]]:
    return {
        "equivalence": {item.cell for item in run.comparisons},
        "training": {item.cell for item in run.trainings},
        "speed": {item.cell for item in run.timings},
    }


def _holes(run: Run) -> list[tuple[Cell, Stage]]:
    """Cells that the table of models by workers lacks: each worker serves every model of its stage."""
    found: list[tuple[Cell, Stage]] = []
    stages: tuple[Stage, ...] = ("equivalence", "training", "speed")
    for stage in stages:
        cells = [outcome.cell for outcome in run.outcomes if outcome.stage == stage]
        models = dict.fromkeys(cell.model for cell in cells)
        workers = dict.fromkeys(formatting.worker(cell) for cell in cells)
        found += [(Cell(model, *worker), stage) for worker, model in product(workers, models)]
    return found


def _comparisons(comparisons: Iterable[Comparison]) -> Iterator[Finding]:
    """One finding for each cell that disagrees, and for each worker that departs for one cause, whatever the model."""
    groups: dict[tuple[object, ...], list[Comparison]] = {}
    for item in comparisons:
        verdict = verdicts.of(item)
        if verdict != verdicts.SAME:
            cell = item.cell
            subject = cell if verdict == verdicts.DIFFERS else replace(cell, model="", dtype="")
            groups.setdefault((subject, verdict, _cause(item)[0] if item.departs else ""), []).append(item)
    for items in groups.values():
        yield _disagreement(items) if verdicts.of(items[0]) == verdicts.DIFFERS else _departure(items)


def _cause(item: Comparison) -> tuple[str, str]:
    """What is the same wherever a defect shows, and what it does to this cell."""
    defect, _, here = item.cause.partition(", here ")
    return defect, here


def _disagreement(items: list[Comparison]) -> Finding:
    first = items[0]
    title = f"{formatting.name(first.cell)} disagrees, first in {formatting.phase(first.phase)}: {first.tensor}"
    return Finding("error", "disagreement", title, (first.cell,), _how_much(items))


def _departure(items: list[Comparison]) -> Finding:
    """A difference with its own explained bound, or one that is shown and not bounded."""
    cells = tuple(dict.fromkeys(item.cell for item in items))
    bounded = items[0].bound is not None
    said = "same API, different result" if bounded else "compared without a bound"
    dtypes = formatting.listed(list(dict.fromkeys(cell.dtype for cell in cells)))
    title = f"{formatting.way(cells[0])} ({', '.join(formatting.details(replace(cells[0], dtype=dtypes)))}): {said}"
    return Finding("note", "departure" if bounded else "unbounded", title, cells, _how_much(items))


def _how_much(items: list[Comparison]) -> str:
    largest = max(items, key=verdicts.severity)
    bound = "no bound" if largest.bound is None else f"bound {formatting.small(largest.bound)}"
    count = formatting.count(len(items), "tensor")
    models = formatting.listed(list(dict.fromkeys(item.cell.model for item in items)))
    place = f"{largest.cell.model}, {formatting.phase(largest.phase)}, {largest.tensor}"
    text = f"{count} in {models}, worst {formatting.small(largest.disagreement)} ({bound}) in {place}."
    places = dict.fromkeys(_cause(item)[1] for item in items if item.departs)
    places.pop("", None)
    shows = f". It shows in {'; '.join(places)}" if places else ""
    if not largest.cause:
        return text
    if largest.departs:
        return f"{text} Cause: {_cause(largest)[0]}{shows}"
    return f"{text} Bound: {largest.cause}"


def _accuracy(trainings: Iterable[Training]) -> Iterator[Finding]:
    for item in trainings:
        if not formatting.reached(item):
            sign = "below" if item.metric == "accuracy" else "above"
            title = f"{formatting.name(item.cell)}: {formatting.METRICS[item.metric]} {sign} the target"
            value, target = formatting.metric(item, item.value), formatting.metric(item, item.target)
            detail = f"{value} on the held-out part, target {target}."
            yield Finding("error", "accuracy", title, (item.cell,), detail)


def _machine(run: Run) -> Iterator[Finding]:
    """A machine that changed while it measured, and workers that disturbed the others."""
    drift = costs.drift(run)
    if drift and drift > costs.UNSTEADY:
        title = "The machine changed during the run: the control varies"
        detail = f"Plain NumPy took {formatting.ratio(drift)} as long in its slowest group of rounds as in its fastest."
        yield Finding("warning", "machine", title, (), f"{detail} Ratios of one group hold, absolute times don't.")
    disturbing = {cell: share for cell, share in costs.busy(run).items() if share > costs.BUSY}
    if disturbing:
        worst = formatting.percent(max(disturbing.values()))
        title = f"{_subject(list(disturbing))}: busy while others were timed"
        detail = f"Waiting workers used up to {worst} of a core: threads that spin disturb the other arms."
        yield Finding("warning", "busy", title, tuple(disturbing), detail)


def _subject(cells: list[Cell]) -> str:
    """One cell by its name; many by what they share."""
    if len(cells) == 1:
        return formatting.name(cells[0])
    columns = zip(*[_parts(cell) for cell in cells], strict=True)
    shared = [column[0] for column in columns if len(set(column)) == 1]
    return " ".join([*shared, f"({formatting.count(len(cells), 'cell')})"])


def _parts(cell: Cell) -> tuple[str, ...]:
    return (cell.model, cell.implementation, cell.backend, cell.mode, cell.device, cell.dtype, cell.size)
