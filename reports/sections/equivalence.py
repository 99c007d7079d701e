"""The equivalence matrix: for each worker and model the verdict, and for each phase the worst tensor."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reports import formatting, verdicts
from reports.evidence.load import Evidence
from reports.verdicts import Verdict
from suites.records.run import Cell, Comparison, Outcome

NEVER = "planned, and neither compared, failed nor skipped"


@dataclass(frozen=True)
class Phase:
    """What one phase of a cell came to; `worst` is what is furthest apart, None where nothing was compared."""

    name: str
    verdict: Verdict
    worst: Comparison | None
    count: int


@dataclass(frozen=True)
class Judged:
    """One cell of the matrix.

    `worst` is the tensor that is furthest apart, `closest` the largest share of a bound that any tensor takes.
    `reason` says in a line why there is nothing to see, `details` is the rest of it.
    """

    cell: Cell
    verdict: Verdict
    worst: Comparison | None
    closest: float | None
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

    def account(self) -> dict[Verdict, int]:
        """How many of the planned cells came to each verdict, the best first: they add up to all of them."""
        found = Counter(item.verdict for item in self.judged())
        return {verdict: found[verdict] for verdict in sorted(found, key=lambda verdict: verdict.rank)}


def matrix(evidence: Evidence) -> Matrix:
    """Judge every cell that was compared, or that should have been."""
    comparisons: dict[Cell, list[Comparison]] = {}
    for item in evidence.comparisons:
        comparisons.setdefault(item.cell, []).append(item)
    trouble = _trouble(evidence.outcomes)
    planned = {item.cell for item in evidence.planned if item.stage == "equivalence"}
    cells = sorted({*comparisons, *trouble, *planned}, key=evidence.order)
    phases = _phases(evidence.comparisons)
    judged = {cell: _judge(cell, comparisons.get(cell, []), trouble.get(cell), phases) for cell in cells}
    models = evidence.ordered({cell.model for cell in cells})
    workers = dict.fromkeys(formatting.worker(cell) for cell in cells)
    rows = []
    for worker in workers:
        rows.append((Cell("", *worker), [judged.get(Cell(model, *worker)) for model in models]))
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
    deciding = verdicts.deciding(items)
    verdict = verdicts.of(deciding) if deciding else verdicts.NOT_RUN
    if trouble:
        own = verdicts.FAILED if trouble.status == "failed" else verdicts.SKIPPED
        verdict = max(own, verdict, key=lambda verdict: verdict.rank)
    found = tuple(_phase(name, items) for name in phases)
    reason, details = ("" if items else NEVER), ""
    if trouble:
        reason, details = trouble.reason, trouble.details
    return Judged(cell, verdict, verdicts.largest(items), verdicts.closest(items), len(items), found, reason, details)


def _phase(name: str, comparisons: list[Comparison]) -> Phase:
    items = [item for item in comparisons if item.phase == name]
    deciding = verdicts.deciding(items)
    verdict = verdicts.of(deciding) if deciding else verdicts.NONE
    return Phase(name, verdict, verdicts.largest(items), len(items))
