"""Puts the explained bound of a known departure (`impls.known_differences`) in the place of the general one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from impls import MODELS
from impls.known_differences import explanation
from suites.equivalence.compare import exceeding
from suites.records.run import Cell, Comparison
from suites.runner import plan
from suites.runner.stages import STEPS, data


def steps(cell: Cell, stage: str) -> int:
    """The training steps that lie between the canonical weights and what `stage` compares."""
    if stage != "training":
        return STEPS if stage == "trajectory" else 1
    return MODELS[cell.model].epochs * math.ceil(len(data(plan.dataset(cell)).x) / plan.batch_size(cell))


def explained(rows: Iterable[Comparison], stage: str) -> list[Comparison]:
    """`rows`, those that a departure covers with its bound and its cause."""
    return [_explained(row, stage) for row in rows]


def _explained(row: Comparison, stage: str) -> Comparison:
    cell = row.cell
    if cell.dtype == "float32" and not exceeding([row]):
        return row  # most departures are a float32 where float64 was meant: here they are none
    found = explanation(cell.implementation, cell.backend, cell.model, row.phase, steps(cell, stage))
    return row if found is None else replace(row, bound=found.bound, cause=found.cause, departs=True)
