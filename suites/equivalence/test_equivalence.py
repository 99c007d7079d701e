"""Every implementation computes what the oracle computes, as closely as rounding allows: whole steps, every tensor."""

from __future__ import annotations

import pytest

from suites import plan
from suites.equivalence.bounds import bounds, owed
from suites.equivalence.compare import comparisons, exceeding, table
from suites.equivalence.departures import explained
from suites.laboratory import Laboratory
from suites.records import Cell, Comparison
from suites.stages import BOUNDS
from suites.training import evidence_or_fail, trained
from suites.workers import Arrays


def compared(laboratory: Laboratory, cell: Cell, stage: str) -> list[Comparison]:
    """Compare one stage of `cell` with the oracle and record every tensor."""
    found = evidence_or_fail(laboratory, cell, stage)
    truth = evidence_or_fail(laboratory, plan.oracle(cell), stage)
    limits = derived(laboratory, cell, stage, truth)
    rows = explained(comparisons(cell, plan.oracle(cell), found, owed(cell, stage, truth), limits), stage)
    laboratory.record(comparisons=rows)
    laboratory.passed(cell, "equivalence")
    return rows


def derived(laboratory: Laboratory, cell: Cell, stage: str, truth: Arrays) -> dict[str, float] | None:
    """The bound of each tensor; None for a training to the end, which has none."""
    if stage not in BOUNDS:
        return None
    return bounds(cell, truth, evidence_or_fail(laboratory, plan.oracle(cell), BOUNDS[stage]))


def judge(cell: Cell, rows: list[Comparison]) -> None:
    """Fail with every tensor above its bound, in the order in which they are computed."""
    if bad := exceeding(rows):
        pytest.fail(f"{plan.label(cell)} departs from {plan.label(bad[0].reference)}:\n{table(bad)}", pytrace=False)


@pytest.mark.cells("float64", "gradients")
def test_gradients(cell: Cell, laboratory: Laboratory) -> None:
    """Every activation, the loss, every cotangent and every gradient of one batch."""
    judge(cell, compared(laboratory, cell, "gradients"))


@pytest.mark.cells("float64", "trajectory")
def test_trajectory(cell: Cell, laboratory: Laboratory) -> None:
    """Losses, weights, running statistics and slots after 20 steps from the same weights and batches."""
    judge(cell, compared(laboratory, cell, "trajectory"))


@pytest.mark.cells("float32", "float32_step")
def test_float32_step(cell: Cell, laboratory: Laboratory) -> None:
    """One batch and one step in the precision that people train in, from the oracle's state after some steps."""
    judge(cell, compared(laboratory, cell, "float32_step"))


@pytest.mark.bench
@pytest.mark.cells("float64", "training")
def test_training(cell: Cell, laboratory: Laboratory) -> None:
    """The program's own loop, to the end, on the real data: it learns, and the loss curves lie on each other."""
    rows = compared(laboratory, cell, "training")
    trained(laboratory, cell)
    judge(cell, rows)


@pytest.mark.bench
@pytest.mark.full
@pytest.mark.cells("float32", "training")
def test_training_in_float32(cell: Cell, laboratory: Laboratory) -> None:
    """The same in the precision that people train in; its trajectory is not compared, float32 ones diverge."""
    trained(laboratory, cell)
