"""Both sides of what a backend does by size or by type: kernels for float32, for large weights, for large images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from suites.references.case import layer
from suites.references.cases import CASES
from suites.references.shim import Shim, Shims, agree, compare, weights_for
from suites.references.test_layers import GRADIENTS, x_of

X, Y = {"array": "x"}, {"array": "y"}
SINGLE = 3e-4  # of float32 in a short computation; what is wrong in meaning is far off on batches of a few examples
KERNELS = (  # what some engine computes by a kernel of its own in float32
    "batch norm of images", "batch norm of one image", "batch norm of vectors", "frozen batch norm of images",
    "layer norm of images", "LSTM twice", "LSTM backwards", "LSTM, masked, both ways", "LSTM of one step", "GRU twice",
    "a long sequence", "convolution of 3 by 2, same, 1", "depthwise of 3 by (2, 1), same, 1", "gelu", "softplus",
)  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_layers_in_float32(name: str, shim: Shim) -> None:
    """The precision that people train in takes other kernels than float64 does."""
    case = CASES[name]
    x = x_of(case.arrays)
    calls: list[Any] = [
        ["compile", {"optimizer": GRADIENTS, "loss": "mean_squared_error"}],
        ["predict", {"x": x}],
        ["train_on_batch", {"x": x, "y": Y}],
        ["slots", {}],
        ["weights", {}],
        ["predict", {"x": x}],
    ]
    agree(shim, {**case.model, "settings": {"dtype": "float32"}}, calls, case.arrays, bound=SINGLE)


def test_a_cell_that_grows(shim: Shim) -> None:
    """All gates of an LSTM open for eight steps: the cell is past 7, and a kernel that clips it would show."""
    model = {"layers": [layer("LSTM", "open", units=2)], "inputs": [[8, 1]], "settings": {"dtype": "float32"}}
    opened = {"open/kernel": np.zeros((1, 8)), "open/recurrent_kernel": np.zeros((2, 8)), "open/bias": np.full(8, 5.0)}
    arrays = {"x": np.zeros((3, 8, 1)), "y": np.zeros((3, 2))}
    calls: list[Any] = [
        ["compile", {"optimizer": GRADIENTS, "loss": "mean_squared_error"}],
        ["predict", {"x": X}],
        ["train_on_batch", {"x": X, "y": Y}],
        ["slots", {}],
    ]
    agree(shim, model, calls, arrays, bound=SINGLE, weights=opened)


@pytest.mark.full
def test_recurrence_as_a_loop(shim: Shim, shims: Shims) -> None:
    """A loop gives the hidden state, whatever else a cell carries on; engines without loops take no notice."""
    case = CASES["LSTM, masked, whole"]
    model = {**case.model, "settings": {"dtype": "float64", "seed": 1}}
    x = x_of(case.arrays)
    calls: list[Any] = [
        ["unroll", {"unroll": False}],
        ["compile", {"optimizer": GRADIENTS, "loss": "mean_squared_error"}],
        ["predict", {"x": x}],
        ["train_on_batch", {"x": x, "y": Y}],
        ["slots", {}],
    ]
    start, _ = weights_for(shims["numpy"], model, 0)
    calls.insert(0, ["set_weights", {"prefix": "start/"}])
    arrays = {**case.arrays, **{f"start/{key}": value for key, value in start.items()}}
    _, found = shim.run({**model, "settings": {**model["settings"], "mode": shim.mode or None}}, calls, arrays)
    _, truth = shims["numpy"].run(model, calls, arrays)
    compare(found, truth)


WIDE: dict[str, Any] = {
    "layers": [layer("Dense", "wide", units=200, activation="tanh"), layer("Dense", "last", units=2)],
    "inputs": [[200]],
    "settings": {"dtype": "float64", "seed": 1},
}
RULES: dict[str, dict[str, Any]] = {  # with options of their own, which a kernel may forget
    "Adam": {
        "learning_rate": ["ExponentialDecay", {"learning_rate": 0.01, "decay_steps": 2, "decay_rate": 0.5}],
        "beta_1": 0.8,
        "beta_2": 0.95,
        "epsilon": 1e-3,
    },
    "SGD": {"momentum": 0.9, "nesterov": True},
    "RMSprop": {"global_clipnorm": 0.1},
}


@pytest.mark.parametrize("name", RULES)
def test_more_weights_than_any_threshold(name: str, shim: Shim, shims: Shims) -> None:
    """40,000 of them, next to small ones, in epochs with a ragged batch: against NumPy, which has no thresholds."""
    if shim.backend == "numpy":
        pytest.skip("NumPy is what the others are compared with")
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(7, 200)), "y": rng.normal(size=(7, 2))}
    start, _ = weights_for(shims["numpy"], WIDE, 0)
    arrays |= {f"start/{key}": value * 0.1 for key, value in start.items()}
    calls: list[Any] = [
        ["set_weights", {"prefix": "start/"}],
        ["compile", {"optimizer": [name, RULES[name]], "loss": "huber", "metrics": ["mean_absolute_error"]}],
        ["fit", {"x": X, "y": Y, "epochs": 2, "batch_size": 3}],
        ["train_on_batch", {"x": X, "y": Y}],
        ["weights", {}],
        ["slots", {}],
        ["evaluate", {"x": X, "y": Y, "batch_size": 4}],
    ]
    model = {**WIDE, "settings": {**WIDE["settings"], "mode": shim.mode or None}}
    _, found = shim.run(model, calls, arrays)
    _, truth = shims["numpy"].run(WIDE, calls, arrays)
    compare(found, truth)
