"""Mixed precision: a loss that is scaled and gradients that are scaled back before anything looks at them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from suites.equivalence.compare import normwise
from suites.references.cases import layer
from suites.references.shim import Shim, agree

X, Y = {"array": "x"}, {"array": "y"}
LINE: dict[str, Any] = {
    "layers": [layer("Dense", "unit", units=1)],
    "inputs": [[2]],
    "settings": {"dtype": "mixed_float16"},
}
ZERO = {"unit/kernel": np.zeros((2, 1)), "unit/bias": np.zeros(1)}
ONE = np.array([[1.0, 0.0]])


@pytest.mark.parametrize("limit", [None, "clipvalue", "clipnorm", "global_clipnorm"])
def test_gradients_are_scaled_back_before_they_are_clipped(limit: str | None, shim: Shim) -> None:
    """Of numbers that float16 has: the loss that is told, the velocity and the step are the oracle's to every digit."""
    options = {} if limit is None else {limit: 2.0}
    for error in (1.0, -0.5, 4.0):
        arrays = {"x": ONE, "y": np.array([[-error]])}
        momentum = ["SGD", {"learning_rate": 0.5, "momentum": 0.5, **options}]
        calls: list[Any] = [
            ["compile", {"optimizer": momentum, "loss": "mean_squared_error", "metrics": ["mean_absolute_error"]}],
            ["train_on_batch", {"x": X, "y": Y}],
            ["slots", {}],
            ["weights", {}],
        ]
        agree(shim, LINE, calls, arrays, weights=ZERO, bound=1e-6)


UNIT = 2.0**-11  # of float16
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
        ["train_on_batch", {"x": X, "y": Y}],
        ["weights", {}],
        ["predict", {"x": X}],
    ]
    told, found = shim.run(LINE, calls, arrays)
    assert told[4] == "float32"
    assert found["3/unit/bias"].dtype == np.float32
    np.testing.assert_array_equal(found["3/unit/bias"], [np.float32(1 - 6 * 2.0**-15)])
