"""Training to the end: the metric against its target, and loss curves that lie on each other or do not."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from reports import formatting, verdicts
from reports.drawing import plots
from reports.evidence.load import Evidence
from reports.verdicts import Verdict
from suites.records.run import Training

SAME_LINE = 0.01  # relative: closer curves can't be told apart on the page, so they share a line and a label

REACHED = Verdict("reached", "check", "good", 1)
MISSED = Verdict("missed", "cross", "bad", 6)
WITHOUT = {"failed": verdicts.FAILED, "skipped": verdicts.SKIPPED}


@dataclass(frozen=True)
class Row:
    """One training and its verdict."""

    training: Training
    verdict: Verdict


@dataclass(frozen=True)
class Curves:
    """The loss curves of a model in one dtype. `spread` is the largest relative distance of two curves at an epoch."""

    model: str
    dtype: str
    trainings: list[Training]
    spread: float
    plot: plots.Lines | None


@dataclass(frozen=True)
class Report:
    """`account` says what became of every planned training: reached, missed, failed, skipped or not run."""

    rows: list[Row]
    curves: list[Curves]
    reached: int
    account: dict[Verdict, int]

    @property
    def planned(self) -> int:
        """All that should have been trained."""
        return sum(self.account.values())


def report(evidence: Evidence) -> Report:
    """Everything about training."""
    rows = [Row(item, REACHED if formatting.reached(item) else MISSED) for item in _sorted(evidence)]
    groups: dict[tuple[str, str, str], list[Training]] = {}
    for row in rows:
        groups.setdefault(_key(row.training), []).append(row.training)
    reached = sum(row.verdict is REACHED for row in rows)
    return Report(rows, [_curves(group) for group in groups.values()], reached, _account(evidence, rows))


def _account(evidence: Evidence, rows: list[Row]) -> dict[Verdict, int]:
    """The verdict on every training that was planned, tried or done."""
    own = {row.training.cell: row.verdict for row in rows}
    planned = {item.cell for item in evidence.planned if item.stage == "training"}
    tried = [item for item in evidence.outcomes if item.stage == "training" or item.cell in planned]
    cells = {*own, *planned, *(item.cell for item in tried if item.stage == "training")}
    trouble = {item.cell: item.status for item in tried if item.stage in ("start", "training") and item.status != "ok"}
    found = Counter(own.get(cell) or WITHOUT.get(trouble.get(cell, ""), verdicts.NOT_RUN) for cell in cells)
    return {verdict: found[verdict] for verdict in sorted(found, key=lambda verdict: verdict.rank)}


def _key(training: Training) -> tuple[str, str, str]:
    return (training.cell.model, training.cell.dtype, training.cell.size)


def _sorted(evidence: Evidence) -> list[Training]:
    models = evidence.models()
    return sorted(evidence.trainings, key=lambda item: (models.index(item.cell.model), evidence.order(item.cell)))


def _curves(trainings: list[Training]) -> Curves:
    bundles = _bundles([item for item in trainings if item.losses])
    lines = [
        plots.Line(_label(bundle), formatting.panel(bundle[0].cell.implementation), bundle[0].losses)
        for bundle in bundles
    ]
    cell = trainings[0].cell
    return Curves(cell.model, cell.dtype, trainings, spread(trainings), plots.lines(lines))


def spread(trainings: list[Training]) -> float:
    """The largest relative distance between two curves at the same epoch; NaN where a loss is not finite."""
    epochs = list(zip(*(item.losses for item in trainings if item.losses), strict=False))
    if any(not math.isfinite(loss) for losses in epochs for loss in losses):
        return math.nan
    distances = [0.0]
    for losses in epochs:
        largest = max(abs(loss) for loss in losses)
        distances.append((max(losses) - min(losses)) / (largest or 1.0))
    return max(distances)


def _bundles(trainings: list[Training]) -> list[list[Training]]:
    """Trainings whose curves can't be told apart, together."""
    bundles: list[list[Training]] = []
    for item in trainings:
        home = next((bundle for bundle in bundles if spread([bundle[0], item]) <= SAME_LINE), None)
        if home is None:
            bundles.append([item])
        else:
            home.append(item)
    return bundles


def _label(bundle: list[Training]) -> str:
    ways = [formatting.way(item.cell) for item in bundle]
    return ways[0] if len(ways) == 1 else f"{ways[0]} and {len(ways) - 1} more"


def verdict(found: Report) -> Verdict:
    """The verdict on all trainings together."""
    if not found.rows:
        return verdicts.NONE
    return REACHED if found.reached == found.planned else MISSED
