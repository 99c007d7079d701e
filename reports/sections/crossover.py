"""Which engine at my size: what the law of cost says is fastest at each batch, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports import formatting
from reports.statistics.cost_model import Law

BATCHES = (1, 8, 64, 512, 4096)


@dataclass(frozen=True)
class Fastest:
    """The configuration that takes least at one batch; `times` is how many times as long the next engine takes."""

    law: Law
    seconds: float
    times: float | None

    @property
    def name(self) -> str:
        return formatting.way(self.law.sweep.cell)


@dataclass(frozen=True)
class Row:
    """One model: a place for each of BATCHES; None beyond what was measured."""

    model: str
    places: list[Fastest | None]


def crossover(by_model: dict[str, Sequence[Law]]) -> list[Row]:
    """A row for each model in which more than one engine was measured."""
    several = {model: laws for model, laws in by_model.items() if len({_engine(law) for law in laws}) > 1}
    return [Row(model, [fastest(laws, batch) for batch in BATCHES]) for model, laws in several.items()]


def fastest(laws: Sequence[Law], batch: int) -> Fastest | None:
    """The fastest at `batch`, against the best of another engine; None outside of the batches that were swept."""
    inside = [law for law in laws if min(law.sweep.batch_sizes) <= batch <= max(law.sweep.batch_sizes)]
    if not inside:
        return None
    ordered = sorted(inside, key=lambda law: law.seconds(batch))
    best = ordered[0]
    others = [law for law in ordered if _engine(law) != _engine(best)]
    times = others[0].seconds(batch) / best.seconds(batch) if others else None
    return Fastest(best, best.seconds(batch), times)


def _engine(law: Law) -> str:
    return law.sweep.cell.backend
