"""The bounds are worth something: what is wrong exceeds them, what is right does not, and none is written by hand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from impls import MODELS
from impls.model_differences import DEPARTURES
from suites.equivalence.bounds import allowed, bounds, reach, slack
from suites.equivalence.compare import comparisons, exceeding
from suites.equivalence.draws import distinct, random_draw
from suites.records.run import Cell, Comparison
from suites.runner import plan
from suites.runner.laboratory import Laboratory, reason_against
from suites.runner.machine import ROOT
from suites.runner.remote_model import RemoteModel
from suites.runner.stages import BOUNDS, UNITS, float32_step, spread
from suites.runner.workers import Arrays, Role, Source, Worker

FLOOR = 1e-11  # the target: a relative change of this size in any one tensor of float64 is seen
SLACK = 10  # the target: the median of bound over observed
# float32 is compared in full runs and in a bench: workers of its own start for it.
SLOW = [stage for stage in BOUNDS if UNITS[stage] > UNITS["gradients"]]
LSTM = "gates[t] = logistic(i), logistic(f), np.tanh(g), logistic(o)"


def left_to_longer_runs(model: str, stage: str) -> list[pytest.MarkDecorator]:
    """The marks of a stage whose oracle would run for these tests alone."""
    if stage == "fit" and model != "seed":
        return [pytest.mark.full, pytest.mark.catalogue]
    return [pytest.mark.full] if stage in (*MODELS[model].slow, *SLOW, "fit") else []


def cell_of(model: str, stage: str) -> Cell:
    """A cell of the precision that `stage` is compared in."""
    return Cell(model, "shim", "numpy", "eager", "cpu", "float32" if UNITS[stage] > UNITS["gradients"] else "float64")


def known(laboratory: Laboratory, model: str, stage: str) -> tuple[Arrays, dict[str, float]]:
    """The oracle's tensors and their bounds."""
    cell = cell_of(model, stage)
    truth = laboratory.evidence(plan.oracle(cell), stage)
    return truth, bounds(cell, truth, laboratory.evidence(plan.oracle(cell), BOUNDS[stage]))


def seen(cell: Cell, name: str, found: np.ndarray, truth: Arrays, limits: dict[str, float]) -> bool:
    """Whether `found` in the place of tensor `name` exceeds its bound."""
    rows = comparisons(cell, plan.oracle(cell), {name: found}, {name: truth[name]}, limits)
    return [row.tensor for row in exceeding(rows)] == [name]


def turned(array: np.ndarray) -> np.ndarray:
    """The transpose; of a vector the reverse."""
    return array[::-1] if array.ndim == 1 else array.T


@pytest.mark.parametrize(
    ("model", "stage"),
    [pytest.param(model, stage, marks=left_to_longer_runs(model, stage)) for model in MODELS for stage in BOUNDS],
)
def test_nothing_wrong_fits_into_a_bound(laboratory: Laboratory, model: str, stage: str) -> None:
    """A bound that zeros, a transposed tensor or one that is a percent off passes would pass a wrong layer."""
    truth, limits = known(laboratory, model, stage)
    cell = cell_of(model, stage)
    for name, right in truth.items():
        assert seen(cell, name, np.zeros_like(right), truth, limits), name
        assert seen(cell, name, right * 1.01, truth, limits), name
        assert right.size == 1 or seen(cell, name, turned(right), truth, limits), name


@pytest.mark.parametrize(
    ("model", "stage"),
    [
        pytest.param(model, stage, marks=left_to_longer_runs(model, stage))
        for model in MODELS
        for stage in BOUNDS
        if UNITS[stage] == UNITS["gradients"]
    ],
)
def test_float64_sees_a_change_of_the_eleventh_digit(laboratory: Laboratory, model: str, stage: str) -> None:
    """A softplus that is linear above 20 changes 1.4e-11: the smallest fault that is known from real ports."""
    truth, limits = known(laboratory, model, stage)
    for name, right in truth.items():
        direction = np.random.normal(size=right.shape)
        off = right + FLOOR * np.linalg.norm(right) / np.linalg.norm(direction) * direction
        assert seen(cell_of(model, stage), name, off, truth, limits), f"{name}: bound {limits[name]:.1e}"


DEPARTING = {implementation for implementation, _, _ in DEPARTURES}


def clean_rows(laboratory: Laboratory, stages: dict[str, str]) -> Iterator[Comparison]:
    """Every cell that departs nowhere, as far as it can run here, against its bounds: in `stages` by precision."""
    wanted = [(cell, stage) for stage, dtype in stages.items() for cell in plan.Selection().cells(dtype)]
    wanted = [(cell, stage) for cell, stage in wanted if cell.implementation not in DEPARTING]
    wanted = [(cell, stage) for cell, stage in wanted if cell != plan.oracle(cell) and not reason_against(cell)]
    laboratory.begin(wanted)  # at once: one start of a worker for all that it is asked
    for cell, stage in wanted:
        truth, limits = known(laboratory, cell.model, stage)
        yield from comparisons(cell, plan.oracle(cell), laboratory.evidence(cell, stage), truth, limits)


@pytest.mark.parametrize(
    "stages",
    [
        {"gradients": "float64"},
        pytest.param(
            {"gradients": "float64", "float32_step": "float32"}, marks=[pytest.mark.full, pytest.mark.catalogue]
        ),
    ],
    ids=["float64", "both"],
)
def test_bounds_are_tight_and_hold(laboratory: Laboratory, stages: dict[str, str]) -> None:
    """A loose bound hides faults, a bound below what rounding does cries wolf."""
    rows = [row for row in clean_rows(laboratory, stages) if row.disagreement]
    slacks = [slack(row) for row in rows]
    assert min(slacks) >= 1, min(rows, key=slack)
    assert np.median(slacks) <= SLACK


@pytest.mark.full  # see SLOW
@pytest.mark.parametrize("function", ["np.tanh(g)", "logistic(f)"])
@pytest.mark.parametrize("ulps, flagged", [(6, False), (1000, True)])
def test_an_elementary_function_may_be_some_ulp_off(
    laboratory: Laboratory, function: str, ulps: int, flagged: bool
) -> None:
    """Vectorised tanh, exp and sigmoid of real engines are up to 6 ulp off: no fault; a hundred times that is one."""
    truth, limits = known(laboratory, "rnn", "float32_step")
    off = LSTM.replace(function, f"{function} + {ulps} * np.spacing({function})")
    patch = {"file": "impls/shim/backends/numpy_kernels.py", "old": LSTM, "new": off}
    worker = Worker(Role("shim", "numpy", "eager", dtype="float32", source=Source(patch=patch)))
    cell = cell_of("rnn", "float32_step")
    try:
        found = float32_step(worker, cell, laboratory.evidence(plan.oracle(cell), "state"))
    finally:
        worker.stop()
    assert bool(exceeding(comparisons(cell, plan.oracle(cell), found, truth, limits))) is flagged


@pytest.mark.parametrize("rank", [1, 4, 400])
@pytest.mark.parametrize("scale", [1e-140, 1.0, 1e140], ids=["small", "one", "large"])
def test_an_error_stays_within_its_reach(rank: int, scale: float) -> None:
    """The reach of a normal error of known covariance is above each of many, and not far above the largest.

    Of any size: the square of a square of 1e140 is no number, and ended a campaign.
    """
    rng = np.random.default_rng(0)
    samples, others = rng.normal(size=(16, rank)) * scale, rng.normal(size=(20_000, rank))
    largest = float(np.linalg.norm(others, axis=1).max()) * scale
    assert largest <= reach(samples @ samples.T) <= 3 * largest


WORDS = ("rtol", "atol", "tolerance", "rel_tol", "abs_tol")
# Guesses, in words, why models differ; the smallest programs of departures; the arithmetic of intervals and bounds.
NO_COMPARISON = {
    *("port", "programs", "test_stopping_rule.py", "test_paired_rounds.py", "test_judge.py", Path(__file__).name)
}
FUNCTIONS = ("allclose", "isclose", "assert_allclose", "approx", "assert_almost_equal", "assert_array_almost_equal")


def hand_written(source: str) -> list[int]:
    """The lines of `source` where a number is a tolerance, or a function is called that has one by default."""
    return sorted(node.lineno for node in ast.walk(ast.parse(source)) if _tolerant(node))  # type: ignore[attr-defined]


def _tolerant(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg in WORDS
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in FUNCTIONS
    if isinstance(node, (ast.Name, ast.arg)):
        return any(word in (node.id if isinstance(node, ast.Name) else node.arg).lower() for word in WORDS)
    return False


def test_no_tolerance_is_written_by_hand() -> None:
    """A tolerance that somebody picked either passes faults or flags rounding: every bound has to be derived."""
    planted = "x = np.allclose(a, b)\nf(rtol=1e-5)\nTOLERANCE = 1e-3\nmath.isclose(a, b, rel_tol=0.1)\nok = a == b"
    assert sorted(set(hand_written(planted))) == [1, 2, 3, 4]
    files = [path for path in Path(ROOT, "suites").rglob("*.py") if not NO_COMPARISON & {*path.parts}]
    assert {str(path): lines for path in files if (lines := hand_written(path.read_text()))} == {}


def test_the_model_of_rounding_covers_cancellation() -> None:
    """A BatchNorm channel of large mean and small variance loses digits: its bound has to grow with them."""
    oracle = Worker(Role(*plan.ORACLE))
    try:
        near, far = (normalised(oracle, mean) for mean in (0.0, 5000.0))
    finally:
        oracle.stop()
    assert far > 100 * near


def normalised(oracle: Worker, mean: float) -> float:
    """The relative reach of float32 errors in a BatchNorm's output, for images around `mean`."""
    draw = random_draw("cnn", "mean", distinct("cnn"), 5, 5)
    draw.weights["conv1/kernel"] *= np.arange(9).reshape(3, 3, 1, 1) == 4  # the middle alone: no padding
    x = np.asarray(draw.x + mean, np.float32)
    model = RemoteModel(oracle)
    model.open("cnn", draw.size, draw.weights)

    def run() -> Arrays:
        model.restore({f"weight/{name}": value for name, value in draw.weights.items()}, step=0)
        return model.forward(x, training=True)

    truth = run()["activation/bn1"]
    return allowed(spread(oracle, run, UNITS["float32_step"], 8)["activation/bn1"]) / float(np.linalg.norm(truth))


def test_samples_without_anything_in_common_have_a_wide_bound() -> None:
    """One sample of ten that rounds, once: no inner product says how many directions the error has."""
    products = np.zeros((10, 10))
    products[3, 3] = 1e-32
    assert 1e-16 < reach(products) < 1e-14
