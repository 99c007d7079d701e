"""What an API costs in time: each call as a multiple of the raw one, and the batch from which it no longer shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from reports import formatting
from reports.claims import Computed, calls
from reports.evidence.load import Evidence
from reports.sections import speed
from reports.statistics import cost_model
from suites.records.run import Sweep

SHARE = 0.1  # of the raw program's step: what an API costs beside it no longer counts below this
LARGEST = 1e6  # examples in a batch: nobody has more


@dataclass(frozen=True)
class Enough:
    """From which batch on a step of an API is at most SHARE slower than the raw one; None: at no batch."""

    model: str
    batch: float | None


def means(found: Computed, implementation: str) -> dict[str, float]:
    """For each call the geometric mean ratio of one of the three ways, over the models that all of them have."""
    result = {}
    for what in formatting.WHATS:
        by_way = {name: calls(found.speed, (name, found.engine), what) for name in found.ways}
        timed = [{row.timing.cell.model for row in rows} for rows in by_way.values() if rows]
        shared = set.intersection(*timed) if timed else set()
        rows = [row for row in by_way[implementation] if row.timing.cell.model in shared]
        if (mean := speed.typical(rows)) is not None:
            result[what] = mean
    return result


CALLS = {"train_step": "a train step", "predict": "a prediction", "fit": "a fit"}


def told(found: Computed, implementation: str) -> list[str]:
    """`7.6x for a fit`: of the calls for which at least one model's interval tells slower from faster."""
    means_ = means(found, implementation)
    said = []
    for what, mean in means_.items():
        rows = calls(found.speed, (implementation, found.engine), what)
        if any(row.ratio and not row.ratio.low <= 1 <= row.ratio.high for row in rows):
            said.append(f"{formatting.ratio(mean)} for {CALLS[what]}")
    return said


def enough(evidence: Evidence, way: tuple[str, str], raw: tuple[str, str]) -> list[Enough]:
    """By the law of cost of both, a row for each model that both have a sweep of."""
    sweeps = {}
    for run in evidence.runs:
        for item in run.sweeps:
            if item.what == "train_step" and item.seconds and all(item.seconds):
                sweeps[item.cell.model, (item.cell.implementation, item.cell.backend)] = item
    pairs = [(model, sweeps.get((model, way)), sweeps.get((model, raw))) for model in evidence.models()]
    return [Enough(model, crossing(mine, other)) for model, mine, other in pairs if mine and other]


def crossing(mine: Sweep, other: Sweep) -> float | None:
    """The smallest batch from which on `mine` takes at most 1 + SHARE of the time of `other`."""
    fixed, each = _line(mine)
    allowed_fixed, allowed_each = ((1 + SHARE) * term for term in _line(other))
    if each >= allowed_each:
        return None
    batch = max(1.0, (fixed - allowed_fixed) / (allowed_each - each))
    return batch if batch <= LARGEST else None


def _line(sweep: Sweep) -> tuple[float, float]:
    """Seconds of a step at the specification's width: those of any batch, and those of each example."""
    overhead, rate, update = cost_model.fit(cost_model.rows(sweep), [median(seconds) for seconds in sweep.seconds])
    return overhead + update * sweep.parameters[0], rate * sweep.flops[0] / sweep.batch_sizes[0]


def said(found: Sequence[Enough]) -> str:
    """`mlp from a batch of 4100 on; at no batch cnn and rnn`."""
    reached = [
        f"{item.model} from a batch of {formatting.batch(math.ceil(item.batch))} on"
        for item in found
        if item.batch is not None
    ]
    never = [item.model for item in found if item.batch is None]
    parts = [formatting.listed(reached), f"at no batch {formatting.listed(never)}" if never else ""]
    return "; ".join(part for part in parts if part)
