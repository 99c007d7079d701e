"""Every implementation computes what the oracle computes, as closely as rounding allows: whole steps, every tensor."""

from __future__ import annotations

import shlex

import pytest

from impls import MODELS
from suites.equivalence import judge
from suites.equivalence.compare import exceeding, table
from suites.equivalence.localise import FIT
from suites.records.run import Cell, Comparison
from suites.runner import plan
from suites.runner.expectations import evidence_or_fail, trained
from suites.runner.laboratory import Laboratory
from suites.runner.stages import BOUNDS, name_of_differing


def compared(laboratory: Laboratory, cell: Cell, stage: str) -> list[Comparison]:
    """Compare one stage of `cell` with the oracle and record every tensor."""
    found = evidence_or_fail(laboratory, cell, stage)
    truth = evidence_or_fail(laboratory, plan.oracle(cell), stage)
    spread = evidence_or_fail(laboratory, plan.oracle(cell), BOUNDS[stage]) if stage in BOUNDS else None
    rows = judge.judge(cell, stage, found, truth, spread)
    laboratory.record(comparisons=rows)
    laboratory.passed(cell, "equivalence")
    return rows


def check(laboratory: Laboratory, cell: Cell, stage: str, rows: list[Comparison]) -> None:
    """Fail with the first place that departs, and with every tensor above its bound."""
    if not (bad := exceeding(rows)):
        return
    found, truth = (evidence_or_fail(laboratory, each, stage) for each in (cell, plan.oracle(cell)))
    place = judge.first_difference(rows, found, truth, FIT if stage in ("training", "fit") else stage)
    assert place is not None
    heading = f"{plan.label(cell)} differs from {plan.label(bad[0].reference)}:"
    pytest.fail("\n".join([heading, place.report(command(cell, stage)), table(bad)]), pytrace=False)


def has_known_difference(cell: Cell) -> bool:
    """Whether its library is known to differ by more than rounding."""
    return bool(name_of_differing("trajectory", cell))


def check_the_rest(laboratory: Laboratory, cell: Cell, stage: str) -> None:
    """A known difference excuses itself and nothing else: with it in the oracle as well, all is judged."""
    names = [name_of_differing(each, cell) for each in (stage, BOUNDS[stage])]
    oracle = plan.oracle(cell)
    found = evidence_or_fail(laboratory, cell, stage)
    truth, spread = (evidence_or_fail(laboratory, oracle, name) for name in names)
    rows = judge.judge_differing(cell, found, truth, spread)
    if bad := exceeding(rows):
        place = judge.first_difference(rows, found, truth, FIT if stage == "fit" else stage)
        assert place is not None
        heading = f"{plan.label(cell)} departs from {plan.label(oracle)}, which has its known difference too:"
        pytest.fail("\n".join([heading, place.report(command(cell, stage)), table(bad)]), pytrace=False)


def command(cell: Cell, stage: str) -> str:
    """What runs one comparison alone."""
    session = "bench" if stage == "training" else "tests"
    chosen = {name: getattr(cell, name) for name in ("model", "implementation", "backend", "mode", "device", "size")}
    options = [word for name, value in chosen.items() for word in (f"--{name}", value)]
    file = [] if stage == "training" else ["suites/equivalence/test_equivalence.py"]  # bench names the folder
    full = ["--full"] if stage in ("float32_step", "fit", *MODELS[cell.model].slow) else []
    # With the bracket: a full run has `test_trajectory_but_for_known_differences` as well.
    return shlex.join(["nox", "-s", session, "--", *file, *full, *options, "-k", f"test_{stage}["])


@pytest.mark.cells("float64", "gradients")
def test_gradients(cell: Cell, laboratory: Laboratory) -> None:
    """Every activation, the loss, every cotangent and every gradient of one batch."""
    check(laboratory, cell, "gradients", compared(laboratory, cell, "gradients"))


@pytest.mark.cells("float64", "trajectory")
def test_trajectory(cell: Cell, laboratory: Laboratory) -> None:
    """Losses, weights, running statistics and slots after 20 steps from the same weights and batches."""
    check(laboratory, cell, "trajectory", compared(laboratory, cell, "trajectory"))


@pytest.mark.full
@pytest.mark.cells(  # of the others the oracle takes half a minute each
    "float64", "trajectory", only=has_known_difference, catalogue=("cnn", "rnn", "transformer")
)
def test_trajectory_but_for_known_differences(cell: Cell, laboratory: Laboratory) -> None:
    """The same where a library is known to differ: the oracle has that difference planted, and excuses nothing else."""
    check_the_rest(laboratory, cell, "trajectory")


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.cells("float64", "fit")
def test_fit(cell: Cell, laboratory: Laboratory) -> None:
    """The program's own loop over a few batches: what it drops, repeats, reverses or averages shows in its losses."""
    check(laboratory, cell, "fit", compared(laboratory, cell, "fit"))
    if has_known_difference(cell):
        check_the_rest(laboratory, cell, "fit")


@pytest.mark.full
@pytest.mark.cells("float32", "float32_step")
def test_float32_step(cell: Cell, laboratory: Laboratory) -> None:
    """One batch and one step in the precision that people train in, from the oracle's state after some steps."""
    check(laboratory, cell, "float32_step", compared(laboratory, cell, "float32_step"))


@pytest.mark.bench
@pytest.mark.cells("float64", "training")
def test_training(cell: Cell, laboratory: Laboratory) -> None:
    """The program's own loop, to the end, on the real data: it learns, and the loss curves lie on each other."""
    rows = compared(laboratory, cell, "training")
    trained(laboratory, cell)
    check(laboratory, cell, "training", rows)


@pytest.mark.bench
@pytest.mark.full
@pytest.mark.cells("float32", "training")
def test_training_in_float32(cell: Cell, laboratory: Laboratory) -> None:
    """The same in the precision that people train in; its trajectory is not compared, float32 ones diverge."""
    trained(laboratory, cell)
