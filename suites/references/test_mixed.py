"""Mixed precision: a loss that is scaled and gradients that are scaled back before anything looks at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suites.equivalence.compare import normwise
from suites.references.case import layer
from suites.references.shim import Shim, agree

X, Y = {"array": "x"}, {"array": "y"}
LINE: dict[str, Any] = {
    "layers": [layer("Dense", "unit", units=1)],
    "inputs": [[2]],
    "settings": {"dtype": "mixed_float16"},
}
ZERO = {"unit/kernel": np.zeros((2, 1)), "unit/bias": np.zeros(1)}
ONE = np.array([[1.0, 0.0]])
UNIT = 2.0**-11  # of float16


@pytest.mark.parametrize("limit", [None, "clipvalue", "clipnorm", "global_clipnorm"])
def test_gradients_are_scaled_back_before_they_are_clipped(limit: str | None, shim: Shim) -> None:
    """Of numbers that float16 has: the loss that is told, the velocity and the step are the oracle's to every digit."""
    options = {} if limit is None else {limit: 2.0}
    for error, steps in ((0.75, 1), (-0.5, 1), (4.0, 4)):  # of the largest error three overflow
        arrays = {"x": ONE, "y": np.array([[-error]])}
        momentum = ["SGD", {"learning_rate": 0.5, "momentum": 0.5, **options}]
        calls: list[Any] = [
            ["compile", {"optimizer": momentum, "loss": "mean_squared_error", "metrics": ["mean_absolute_error"]}],
            *[["train_on_batch", {"x": X, "y": Y}]] * steps,
            ["slots", {}],
            ["weights", {}],
        ]
        agree(shim, LINE, calls, arrays, weights=ZERO, bound=1e-6)


def falling(rate: float) -> list[Any]:
    """A rate and corrections that tell how many updates there have been."""
    schedule = ["ExponentialDecay", {"learning_rate": rate, "decay_steps": 1, "decay_rate": 0.5, "staircase": True}]
    return ["Adam", {"learning_rate": schedule, "weight_decay": 0.25}]


SCALE: list[Any] = ["loss_scale", {}]


def test_an_update_that_overflows_is_left_out_and_not_counted(shim: Shim, tmp_path: Path) -> None:
    """Neither weights nor slots move, the scale halves, and schedule and corrections wait: in fit, in steps, in files.

    The targets are far away at first, and farther with each example: some are left out in every epoch.
    """
    rng = np.random.default_rng(3)
    arrays = {"x": np.tile(ONE, (9, 1)) * rng.choice([-1.0, 1.0], (9, 1)), "y": 2.0 ** np.arange(9)[:, None]}
    fit = {"x": X, "y": Y, "batch_size": 1}
    compile_ = ["compile", {"optimizer": falling(8.0), "loss": "mean_squared_error"}]
    batch = [[{"array": "x"}, {"array": "y"}]]
    path = str(tmp_path / "half.npz")
    calls: list[Any] = [
        compile_,
        ["fit", {**fit, "epochs": 2}],
        *[SCALE, ["weights", {}], ["slots", {}], ["save", {"path": path}], ["new", {}], compile_],
        *[["load", {"path": path}], SCALE, ["fit", {**fit, "epochs": 3}], ["train_on_batch", {"x": X, "y": Y}], SCALE],
        *[["weights", {}], ["slots", {}], compile_, SCALE, ["fit", {"x": batch, "epochs": 3}], SCALE, ["slots", {}]],
    ]
    agree(shim, LINE, calls, arrays, weights=ZERO, bound=4 * UNIT)


def test_the_scale_doubles_after_so_many_updates_in_a_row(shim: Shim) -> None:
    """One that is left out starts the count again."""
    far = {"x": X, "y": {"array": "far"}}
    arrays = {"x": ONE, "y": np.array([[0.5]]), "far": np.array([[2.0**14]])}
    calls: list[Any] = [
        ["loss_scale", {"interval": 3}],
        ["compile", {"optimizer": ["SGD", {"learning_rate": 0.0}], "loss": "mean_squared_error"}],
        ["loss_scale", {"value": 1.0}],
    ]
    for data in [{"x": X, "y": Y}] * 5 + [far] * 3 + [{"x": X, "y": Y}] * 7:
        calls += [["train_on_batch", data], SCALE]
    agree(shim, LINE, calls, arrays, weights=ZERO, bound=0.0)


def test_a_forward_pass_that_overflows_moves_nothing(shim: Shim) -> None:
    """Its loss is told as it is; the gradients are no numbers."""
    arrays = {"x": ONE * 1e5, "y": ONE[:, :1], **{f"start/{name}": value + 1 for name, value in ZERO.items()}}
    calls: list[Any] = [
        ["set_weights", {"prefix": "start/"}],
        ["compile", {"optimizer": ["Adagrad", {"weight_decay": 0.5}], "loss": "mean_squared_error"}],
        *[["train_on_batch", {"x": X, "y": Y}]] * 2,
        *[["weights", {}], ["slots", {}], SCALE],
    ]
    _, found = shim.run({**LINE, "settings": {**LINE["settings"], "mode": shim.mode or None}}, calls, arrays)
    assert not np.isfinite(found["2/loss"]) and found["6/value"] == 2.0**13
    assert all(np.all(value == 1) for name, value in found.items() if name.startswith("4/"))
    assert all(np.all(value == np.float32(0.1)) for name, value in found.items() if name.startswith("5/"))


ROUNDINGS = 3  # of the output, of the error that goes back, of the gradient


def test_gradients_that_float16_has_not_are_kept_by_the_scale(shim: Shim) -> None:
    """A slope of 2e-8 is a third of float16's smallest number: without a scale the weights would stand still."""
    error = 1e-8
    arrays = {"x": ONE, "y": np.array([[-error]]), **{f"start/{name}": value for name, value in ZERO.items()}}
    calls: list[Any] = [
        ["set_weights", {"prefix": "start/"}],
        ["compile", {"optimizer": ["SGD", {"learning_rate": 1.0, "momentum": 0.5}], "loss": "mean_squared_error"}],
        ["train_on_batch", {"x": X, "y": Y}],
        ["slots", {}],
    ]
    _, found = shim.run(LINE, calls, arrays)
    assert normwise(found["3/m/unit/bias"], np.array([-2 * error])) <= ROUNDINGS * UNIT
    assert normwise(found["3/m/unit/kernel"], np.array([[-2 * error], [0.0]])) <= ROUNDINGS * UNIT


def test_weights_and_outputs_stay_in_float32(shim: Shim) -> None:
    """What a user gets back, and what a schedule moves by less than float16 can tell apart."""
    arrays = {"x": ONE, "y": np.array([[-1.0]]), **{f"start/{name}": value + 1 for name, value in ZERO.items()}}
    calls: list[Any] = [
        ["set_weights", {"prefix": "start/"}],
        ["compile", {"optimizer": ["SGD", {"learning_rate": 2.0**-15}], "loss": "mean_squared_error"}],
        ["loss_scale", {"value": 1024.0}],
        ["train_on_batch", {"x": X, "y": Y}],
        ["weights", {}],
        ["predict", {"x": X}],
    ]
    told, found = shim.run(LINE, calls, arrays)
    assert told[5] == "float32"
    assert found["4/unit/bias"].dtype == np.float32
    np.testing.assert_array_equal(found["4/unit/bias"], [np.float32(1 - 6 * 2.0**-15)])
