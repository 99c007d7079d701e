"""The rule of judging on made-up numbers: which bound a tensor gets, what a known difference excuses, what is named."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from impls import MODELS
from impls.model_differences import DEPARTURES, relative_error_bound
from suites.equivalence import judge
from suites.equivalence.bounds import allowed
from suites.equivalence.compare import AGREEMENT, ROUNDING, TARGET, exceeding
from suites.records.run import Cell, Comparison
from suites.runner import plan
from suites.runner.stages import EPOCHS, FAMILIES, PARTS, STEPS, data
from suites.runner.workers import Arrays

TORCH = Cell("mlp", "raw_torch", "torch", "eager", "cpu", "float64")
TRUTH = {
    "activation/hidden1": np.linspace(1, 2, 6),
    "activation/hidden2": np.linspace(2, 3, 6),
    "loss": np.array(4.0),
    "weight/hidden1/kernel": np.linspace(-1, 1, 6),
    "slot/m/hidden1/kernel": np.linspace(1, 5, 6),
}
UNIT = 1e-10  # of the made-up errors


def of(implementation: str, backend: str, dtype: str = "float64") -> Cell:
    return dataclasses.replace(TORCH, implementation=implementation, backend=backend, dtype=dtype)


def spread(unit: float = UNIT, names: tuple[str, ...] = tuple(TRUTH)) -> Arrays:
    """The inner products of drawn errors of every tensor, each of another size, and of one run for each family."""
    rng, found = np.random.default_rng(0), {}
    for at, name in enumerate(names, 1):
        errors = at * unit * rng.normal(size=(4 + len(FAMILIES), 6))
        found[name] = errors @ errors.T
    return found


def off(by: float, names: tuple[str, ...] = tuple(TRUTH)) -> Arrays:
    """The truth with these tensors off by so much of their norm."""
    return {name: value * (1 + by * (name in names)) for name, value in TRUTH.items()}


def by_name(rows: list[Comparison]) -> dict[str, Comparison]:
    return {row.tensor: row for row in rows}


def limit(name: str, unit: float = UNIT) -> float:
    """What rounding may do to a tensor of which both sides are float64."""
    return float(math.sqrt(2) * allowed(spread(unit)[name]) / np.linalg.norm(TRUTH[name]))


def test_each_tensor_has_the_bound_of_its_own_errors() -> None:
    rows = by_name(judge.judge(TORCH, "trajectory", off(1e-5), TRUTH, spread()))
    assert list(rows) == list(TRUTH)
    for name, row in rows.items():
        assert (row.cell, row.reference) == (TORCH, plan.oracle(TORCH))
        assert row.bound == pytest.approx(limit(name), rel=1e-12) and row.disagreement == pytest.approx(1e-5, rel=1e-9)
        assert (row.cause, row.departs) == (ROUNDING, False)
    assert exceeding(judge.judge(TORCH, "trajectory", off(1e-13), TRUTH, spread())) == []
    whole = judge.judge(TORCH, "training", off(0.0), TRUTH, None)
    assert {(row.bound, row.cause) for row in whole} == {(AGREEMENT, TARGET)}


@pytest.mark.parametrize("stage", ["trajectory", "fit", "gradients", "training"])
def test_a_known_difference_has_its_own_bound_in_its_phases_alone(stage: str) -> None:
    """As many steps as the stage has add up: of a training to the end the last batch is a ragged one."""
    cell = of("tf_keras", "tensorflow")
    images = len(data("digits").x)
    steps = {"trajectory": STEPS, "fit": EPOCHS * PARTS, "training": MODELS["mlp"].epochs * (images // 64 + 1)}
    assert images % 64 and judge.steps(cell, stage) == steps.get(stage, 1)
    found = by_name(judge.judge(cell, stage, off(1e-3), TRUTH, spread()))
    known = DEPARTURES["tf_keras", "tensorflow", "mlp"]
    for name, row in found.items():
        excused = row.phase in known.phases
        assert excused is name.startswith(("weight/", "slot/")) and row.departs is excused
        expected = relative_error_bound(known, "mlp", row.phase, steps.get(stage, 1)) if excused else limit(name)
        assert row.bound == pytest.approx(expected, rel=1e-12)
        assert (known.cause in row.cause) is excused
    planted = by_name(judge.judge_differing(cell, off(1e-3), TRUTH, spread()))
    assert not any(row.departs for row in planted.values())
    assert (planted["loss"].bound, planted["loss"].cell) == (limit("loss"), cell)


def test_in_float32_a_difference_is_excused_only_where_it_is_one() -> None:
    """There one side alone has errors."""
    for dtype, by, excused in (("float32", 0.0, False), ("float32", 1e-3, True), ("float64", 0.0, True)):
        rows = by_name(judge.judge(of("tf_keras", "tensorflow", dtype), "trajectory", off(by), TRUTH, spread()))
        row = rows["weight/hidden1/kernel"]
        assert row.departs is excused and (row.cause != ROUNDING) is excused
    assert rows["loss"].bound == pytest.approx(limit("loss"))
    single = by_name(judge.judge(of("raw_torch", "torch", "float32"), "float32_step", off(0.0), TRUTH, spread()))
    assert single["loss"].bound == pytest.approx(limit("loss") / math.sqrt(2)) and len(single) == len(TRUTH)
    kept = judge.judge(
        of("torch_native", "torch", "float32"), "float32_step", dict(list(off(0.0).items())[:3]), TRUTH, spread()
    )
    assert exceeding(kept) == [] and [row.tensor for row in kept] == list(TRUTH)[:3]  # another optimizer has no step


def test_on_random_inputs_a_difference_may_do_what_float32_does() -> None:
    """To first order, and its square; a tensor that is missing is none, nor what the oracle has planted in it."""
    wide = 1e-3
    some = tuple(TRUTH)[:4]
    spreads = {"float64": spread(), "float32": spread(wide, some)}
    cell, reference = of("tf_keras", "torch"), plan.oracle(TORCH)
    assert {"forward", "trajectory", "slot"} <= set(DEPARTURES["tf_keras", "torch", "mlp"].phases)
    found = off(1e-3)
    del found["loss"]
    rows = by_name(judge.judge_draw(cell, reference, found, TRUTH, spreads))
    for name in ("activation/hidden1", "activation/hidden2", "weight/hidden1/kernel"):
        first = limit(name, wide)
        assert rows[name].bound == pytest.approx(first + first**2, rel=1e-12) and rows[name].departs
        assert rows[name].cause.startswith(judge.SINGLE) and rows[name].reference == reference
    assert rows["slot/m/hidden1/kernel"].bound is None and rows["slot/m/hidden1/kernel"].departs  # shown alone
    assert rows["loss"].bound == pytest.approx(limit("loss")) and not rows["loss"].departs and exceeding([rows["loss"]])
    elsewhere = by_name(judge.judge_draw(of("tf_keras", "tensorflow"), reference, found, TRUTH, spreads))
    assert elsewhere["weight/hidden1/kernel"].departs and not elsewhere["activation/hidden1"].departs
    for clean in (TORCH, of("torch_native", "torch")):
        rows = by_name(judge.judge_draw(clean, reference, off(1e-3), TRUTH, spreads))
        assert not any(row.departs for row in rows.values())
        assert rows["weight/hidden1/kernel"].bound == pytest.approx(limit("weight/hidden1/kernel"), rel=1e-12)
    plain = by_name(judge.judge_draw(TORCH, reference, off(0.0), TRUTH, {"float64": spread()}))
    assert plain["loss"].bound == limit("loss")


def test_the_first_difference_is_that_of_the_first_layer() -> None:
    found = off(1e-3, ("activation/hidden2", "weight/hidden1/kernel"))
    rows = judge.judge(TORCH, "gradients", found, TRUTH, spread())
    place = judge.first_difference(rows, found, TRUTH, "gradients")
    assert place is not None and (place.layer, place.phase, place.moment) == ("hidden2", "forward", "gradients")
    alone = judge.first_difference(rows[1:2], found, TRUTH, "gradients")
    assert alone is not None and alone.layer == "hidden2"
    assert judge.first_difference(rows[:1], found, TRUTH, "gradients") is None
    renamed = [dataclasses.replace(row, cell=dataclasses.replace(TORCH, model="unknown")) for row in rows]
    again = judge.first_difference(renamed, found, TRUTH, "gradients", MODELS["mlp"].at("small"))
    assert again is not None and again.layer == "hidden2"
