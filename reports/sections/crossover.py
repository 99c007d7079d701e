"""Which engine at my size: what the law of cost says is fastest at each batch, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports import formatting
from reports.statistics.cost_model import Law

BATCHES = (1, 8, 64, 512)


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
class Line:
    """A law at the specification's width: seconds of any batch, of each example, and the batches that were swept."""

    name: str
    engine: str
    fixed: float
    each: float
    first: int
    last: int


@dataclass(frozen=True)
class Row:
    """One model: a place for each of BATCHES; None beyond what was measured."""

    model: str
    places: list[Fastest | None]
    laws: list[Line]

    @property
    def embedded(self) -> str:
        """The laws as the script reads them: fields of a law by |, laws by a new line."""
        return "\n".join(
            f"{line.name}|{line.engine}|{line.fixed:.5g}|{line.each:.5g}|{line.first}|{line.last}" for line in self.laws
        )


def crossover(by_model: Mapping[str, Sequence[Law]]) -> list[Row]:
    """A row for each model in which more than one engine was measured."""
    rows = []
    for model, laws in by_model.items():
        if len({_engine(law) for law in laws}) > 1:
            rows.append(Row(model, [fastest(laws, batch) for batch in BATCHES], [line(law) for law in laws]))
    return rows


def line(law: Law) -> Line:
    """`law` as a line over the batch."""
    batches, cell = law.sweep.batch_sizes, law.sweep.cell
    each = law.seconds(2) - law.seconds(1)
    return Line(formatting.way(cell), cell.backend, law.seconds(1) - each, each, min(batches), max(batches))


def largest(rows: Sequence[Row]) -> int:
    """The largest batch that any law was swept to."""
    return max((line.last for row in rows for line in row.laws), default=1)


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
