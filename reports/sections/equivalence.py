"""The equivalence matrix: for each worker and model the verdict, and for each phase the worst tensor."""

from __future__ import annotations

from dataclasses import dataclass

from reports import formatting, verdicts
from reports.evidence.load import Evidence
from reports.verdicts import Verdict
from suites.records.run import Cell, Comparison, Outcome


@dataclass(frozen=True)
class Phase:
    """What one phase of a cell came to; `worst` is None where nothing was compared."""

    name: str
    verdict: Verdict
    worst: Comparison | None
    count: int


@dataclass(frozen=True)
class Judged:
    """One cell of the matrix. `reason` says in a line why there is nothing to see, `details` is the rest of it."""

    cell: Cell
    verdict: Verdict
    worst: Comparison | None
    count: int
    phases: tuple[Phase, ...]
    reason: str
    details: str = ""


@dataclass(frozen=True)
class Matrix:
    """Rows are workers, columns are models; `rows[i][1][j]` is None where the pair was never planned."""

    models: list[str]
    phases: list[str]
    rows: list[tuple[Cell, list[Judged | None]]]
    references: list[str]

    def judged(self) -> list[Judged]:
        """Every cell of the matrix, row by row."""
        return [item for _, row in self.rows for item in row if item]


def matrix(evidence: Evidence) -> Matrix:
    """Judge every cell that was compared, or that should have been."""
    comparisons: dict[Cell, list[Comparison]] = {}
    for item in evidence.comparisons:
        comparisons.setdefault(item.cell, []).append(item)
    trouble = _trouble(evidence.outcomes)
    cells = sorted({*comparisons, *trouble}, key=evidence.order)
    phases = _phases(evidence.comparisons)
    judged = {cell: _judge(cell, comparisons.get(cell, []), trouble.get(cell), phases) for cell in cells}
    models = evidence.ordered({cell.model for cell in cells})
    workers = dict.fromkeys(formatting.worker(cell) for cell in cells)
    rows = [(Cell("", *worker), [judged.get(Cell(model, *worker)) for model in models]) for worker in workers]
    references = dict.fromkeys(
        f"{formatting.way(item.reference)} ({item.reference.dtype})" for item in evidence.comparisons
    )
    return Matrix(models, phases, rows, list(references))


def _trouble(outcomes: tuple[Outcome, ...]) -> dict[Cell, Outcome]:
    """Outcomes that took the equivalence of a cell away; a failure outweighs a skip."""
    found = [item for item in outcomes if item.stage in ("start", "equivalence") and item.status != "ok"]
    return {item.cell: item for item in sorted(found, key=lambda item: item.status, reverse=True)}


def _phases(comparisons: tuple[Comparison, ...]) -> list[str]:
    found = {item.phase for item in comparisons}
    return [phase for phase in formatting.PHASES if phase in found] + sorted(found - set(formatting.PHASES))


def _judge(cell: Cell, items: list[Comparison], trouble: Outcome | None, phases: list[str]) -> Judged:
    worst = verdicts.worst(items)
    verdict = verdicts.of(worst) if worst else verdicts.NONE
    if trouble:
        own = verdicts.FAILED if trouble.status == "failed" else verdicts.SKIPPED
        verdict = max(verdict, own, key=lambda verdict: verdict.rank)
    found = tuple(_phase(name, [item for item in items if item.phase == name]) for name in phases)
    return Judged(cell, verdict, worst, len(items), found, *_said(trouble))


def _said(trouble: Outcome | None) -> tuple[str, str]:
    return (trouble.reason, trouble.details) if trouble else ("", "")


def _phase(name: str, items: list[Comparison]) -> Phase:
    worst = verdicts.worst(items)
    return Phase(name, verdicts.of(worst) if worst else verdicts.NONE, worst, len(items))
