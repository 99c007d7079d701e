"""What is judged: rounding passes, a wrong number does not, and what no bound is derived for is undecided."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from suites.campaign import judge
from suites.campaign.cases import Case, draw_case, verdict
from suites.campaign.engines import Realisation

TORCH = Realisation("torch", "torch", "eager")


def case_of_sum() -> Case:
    return Case(0, "sum", "float32", {"x": np.arange(1.0, 101.0).reshape(10, 10)}, {"axis": 0})


@pytest.mark.parametrize(
    "change, status",
    [(0.0, "ok"), (1e-6, "ok"), (0.1, "exceeds"), (math.nan, "exceeds"), (math.inf, "exceeds")],
)
def test_an_answer_is_judged_by_its_bound(change: float, status: str) -> None:
    """Rounding passes; a wrong number, a NaN and an infinity that are not in the truth do not."""
    case = case_of_sum()
    truth = case.truth()
    found = np.array(truth, np.float64)
    found[3] += change
    assert verdict(case, TORCH, found, truth, case.bound(truth)).status == status


def test_what_float32_cannot_hold_is_undecided_where_keras_rounds_to_it() -> None:
    """Keras on JAX may take float64 in float32: its infinity beyond 3.4e38 is no alarm, another number below it is."""
    case = Case(0, "cosh", "float64", {"x": np.array([500.0])}, {})
    on_jax = Realisation("keras", "jax", "eager")
    truth = case.truth()
    assert verdict(case, on_jax, np.array([math.inf]), truth, case.bound(truth)).status == "undecided"
    small = Case(0, "cosh", "float64", {"x": np.array([50.0])}, {})
    truth = small.truth()
    assert verdict(small, on_jax, np.array([math.inf]), truth, small.bound(truth)).status == "exceeds"
    assert verdict(small, on_jax, np.asarray(truth, float) * 1.0001, truth, small.bound(truth)).status == "exceeds"


def test_float32_of_an_argument_moves_what_is_right() -> None:
    """Keras on JAX rounds float64 to float32: near 1 that moves arccos by more than any error of it."""
    case = replace(draw_case(0, "arccos"), dtype="float64", arrays={"x": np.array([0.5, 1 - 3e-8])})
    near, keras_on_jax = np.arccos(case.arrays["x"].astype(np.float32)), Realisation("keras", "jax", "eager")
    assert judged(case, keras_on_jax, near).status == "ok"
    assert judged(case, keras_on_jax, near * 1.001).status == "exceeds"


def test_a_half_that_rounding_can_reach_is_undecided() -> None:
    """round(0.285, 2) in float32 is 0.28 or 0.29, as 100 x is rounded: no engine is wrong there."""
    half = float(np.float32(0.285))
    case = Case(0, "round_decimals", "float32", {"x": np.array([half, 0.7031])}, {})
    truth = case.truth()
    bound = case.bound(truth)
    assert verdict(case, TORCH, np.array([0.57 - truth[0], 0.7]), truth, bound).status == "ok"
    assert verdict(case, TORCH, np.array([truth[0], 0.71]), truth, bound).status == "exceeds"


def test_nan_has_to_be_where_it_is_expected() -> None:
    """A NaN that is swallowed is as wrong as one that comes from nowhere."""
    case = Case(0, "maximum", "float32", {"x": np.array([1.0, math.nan]), "y": np.array([2.0, 3.0])}, {})
    truth = case.truth()
    assert verdict(case, TORCH, np.array([2.0, math.nan]), truth, case.bound(truth)).status == "ok"
    assert verdict(case, TORCH, np.array([2.0, 3.0]), truth, case.bound(truth)).status == "exceeds"


def test_a_tensor_at_a_kink_is_undecided() -> None:
    """Where a decision lies within rounding's reach no bound is derived: neither a pass nor an alarm."""
    tensors = {"gradient/w": np.ones(4)}
    found = {"gradient/w": np.zeros(4)}
    smooth = judge.Truth(tensors, {"gradient/w": judge.Reach(1e-6, True)})
    kink = judge.Truth(tensors, {"gradient/w": judge.Reach(1e-6, False)})
    assert judge.verdict(judge.judge(found, smooth, "float32")) == "exceeds"
    assert judge.verdict(judge.judge(found, kink, "float32")) == "undecided"


def test_a_tensor_whose_errors_leave_the_range_of_its_type_is_undecided() -> None:
    """Rounding may make infinity of it, though what is right is a number of ordinary size."""
    truth = judge.Truth({"gradient/w": np.ones(4)}, {"gradient/w": judge.Reach(1e39, True)})
    found = {"gradient/w": np.full(4, np.inf)}
    assert judge.verdict(judge.judge(found, truth, "float32")) == "undecided"
    assert judge.verdict(judge.judge(found, truth, "float64")) == "exceeds"


def test_what_comes_after_numbers_beyond_the_range_is_undecided() -> None:
    """A loss beyond float32 makes NaN of every weight that is updated by it; outputs, which come before, are judged."""
    names = ("inference/output", "losses", "weight/l0/kernel")
    tensors = {name: np.ones(4) for name in names} | {"losses": np.array([1.0, 1e200])}
    truth = judge.Truth(tensors, {name: judge.Reach(1e-6, True) for name in names})
    found = {name: np.full(4, np.nan) for name in names} | {"losses": np.array([1.0, np.inf])}
    rows = judge.judge(found, truth, "float32")
    assert [row.status for row in rows] == ["exceeds", "undecided", "undecided"]
    assert [row.status for row in judge.judge({"weight/l0/kernel": np.zeros(4)}, truth, "float32")] == ["exceeds"]


def judged(case: Case, realisation: Realisation, found: np.ndarray) -> judge.Row:
    truth = case.truth()
    return verdict(case, realisation, found, truth, case.bound(truth))
