"""Updates of every rule, with schedule, decay and clipping, for hundreds of steps: against the papers' formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from suites.references.case import layer
from suites.references.shim import Shim, agree
from suites.references.test_training import LINE, STATE, Calls, X, Y

DECAY: dict[str, Any] = {"learning_rate": 0.05, "decay_steps": 40, "decay_rate": 0.6}
LATE: dict[str, Any] = {
    "SGD": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "Adam": {"beta_1": 0.8, "beta_2": 0.99},
    "AdamW": {},
    "RMSprop": {"rho": 0.95},
    "Adagrad": {},
}


@pytest.mark.parametrize(("name", "staircase"), [("SGD", True), *((name, False) for name in LATE)])
def test_hundreds_of_updates(name: str, staircase: bool, shim: Shim) -> None:
    """A schedule that acts late, corrections that have died out, sums that have grown: in a fit and in steps."""
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(151, 2)), "y": rng.normal(size=(151, 1)), "a": rng.normal(size=(2, 2))}
    arrays["b"] = arrays["a"][:, :1]
    rate = ["ExponentialDecay", {**DECAY, "staircase": True} if staircase else DECAY]
    calls: Calls = [
        ["compile", {"optimizer": [name, {"learning_rate": rate, **LATE[name]}], "loss": "huber"}],
        ["fit", {"x": X, "y": Y, "epochs": 2, "batch_size": 1}],
        *[["train_on_batch", {"x": {"array": "a"}, "y": {"array": "b"}}]] * 3,
        ["weights", {}],
        ["slots", {}],
    ]
    agree(shim, LINE, calls, arrays, bound=1e-10)


WARM = {"learning_rate": 0.01, "decay_steps": 3, "alpha": 0.2, "warmup_target": 0.2, "warmup_steps": 2}
OPTIMIZERS: dict[str, list[Any]] = {
    "sgd": ["SGD", {}],
    "sgd that decays": ["SGD", {"learning_rate": 0.1, "weight_decay": 0.1}],
    "momentum": ["SGD", {"momentum": 0.9}],
    "nesterov": ["SGD", {"momentum": 0.8, "nesterov": True}],
    "adam": ["Adam", {}],
    "adam that decays": ["Adam", {"learning_rate": 0.1, "weight_decay": 0.05, "epsilon": 1e-2}],
    "adamw": ["AdamW", {}],
    "rmsprop": ["RMSprop", {}],
    "rmsprop with an epsilon": ["RMSprop", {"epsilon": 1e-2, "learning_rate": 0.1}],
    "adagrad": ["Adagrad", {}],
    "adagrad with a start": ["Adagrad", {"initial_accumulator_value": 0.0, "epsilon": 1e-2}],
    "by value": ["SGD", {"clipvalue": 0.1}],
    "by each norm": ["Adam", {"clipnorm": 0.2, "epsilon": 1e-2}],
    "by the norm of all": ["RMSprop", {"global_clipnorm": 0.3, "epsilon": 1e-2}],
    "by a norm that none reaches": ["SGD", {"global_clipnorm": 1e3, "momentum": 0.5}],
    "by a value that none reaches": ["SGD", {"clipvalue": 1e3}],
    "the norm of all before the others": ["SGD", {"global_clipnorm": 0.3, "clipnorm": 0.1, "clipvalue": 0.01}],
    "some weights do not decay": ["AdamW", {"weight_decay": 0.2, "exclude_from_weight_decay": ["bias", "a/"]}],
    "a cosine": ["SGD", {"learning_rate": ["CosineDecay", {"learning_rate": 0.1, "decay_steps": 4, "alpha": 0.1}]}],
    "a line up and a cosine": ["Adam", {"learning_rate": ["CosineDecay", WARM], "epsilon": 1e-2}],
    "a rate in pieces": [
        "SGD",
        {"learning_rate": ["PiecewiseConstant", {"boundaries": [1, 4], "values": [1, 0.1, 0]}]},
    ],
    "gathered, then clipped": [
        "Adam",
        {"gradient_accumulation_steps": 3, "global_clipnorm": 0.3, "learning_rate": ["CosineDecay", WARM]},
    ],
    "averaged, a cosine as it comes": [
        "RMSprop",
        {
            "use_ema": True,
            "epsilon": 1e-2,
            "learning_rate": ["CosineDecay", {"learning_rate": 0.01, "decay_steps": 9, "warmup_target": 0.1}],
        },
    ],
    "gathered, decayed, averaged, put back": [
        "AdamW",
        {
            "gradient_accumulation_steps": 2,
            "use_ema": True,
            "ema_momentum": 0.7,
            "ema_overwrite_frequency": 2,
            "weight_decay": 0.2,
            "clipnorm": 0.2,
            "learning_rate": 0.1,
        },
    ],
    "clipped before it decays": ["AdamW", {"clipnorm": 0.2, "weight_decay": 0.2, "learning_rate": 0.1}],
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates(name: str, shim: Shim) -> None:
    """Five of every rule, each with what it leaves out; and the gradients tiny, so that an epsilon shows."""
    model = {"layers": [layer("Dense", "a", units=2, activation="tanh"), layer("Dense", "b", units=2)], "inputs": [[2]]}
    rng = np.random.default_rng(2)
    arrays = {"x": rng.normal(size=(4, 2)), "y": rng.normal(size=(4, 2)) * 2, "tiny": np.full((4, 2), 1e-4)}
    tiny = ["train_on_batch", {"x": {"array": "tiny"}, "y": Y, "sample_weight": {"array": "tinier"}}]
    arrays["tinier"] = np.full(4, 1e-5)
    calls: Calls = [
        ["compile", {"optimizer": OPTIMIZERS[name], "loss": "mean_squared_error"}],
        tiny,
        *STATE,
        *[["train_on_batch", {"x": X, "y": Y}]] * 2,
        ["fit", {"x": X, "y": Y, "epochs": 2, "batch_size": 3, "shuffle": False}],
        *STATE,
    ]
    agree(shim, model, calls, arrays)


def test_updates_of_a_kernel_whose_gradient_lies_otherwise_in_memory(shim: Shim) -> None:
    """Adam's kernel for all weights at once walks weights and gradients side by side, whatever their strides."""
    layers = [layer("Conv1D", "a", filters=4, kernel_size=3), layer("Flatten", "flat"), layer("Dense", "b", units=1)]
    rng = np.random.default_rng(3)
    arrays = {"x": rng.normal(size=(4, 6, 5)), "y": rng.normal(size=(4, 1))}
    calls: Calls = [
        ["compile", {"optimizer": ["Adam", {"epsilon": 1e-2}], "loss": "mean_squared_error"}],
        *[["train_on_batch", {"x": X, "y": Y}]] * 2,
        *STATE,
    ]
    agree(shim, {"layers": layers, "inputs": [[6, 5]]}, calls, arrays)


@pytest.mark.parametrize("limit", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_clipping_at_exactly_the_limit_and_of_nothing(limit: str, shim: Shim) -> None:
    """A gradient of exactly the limit stays, either way; one of zero is no division by it.

    The norm of all is that of the only weight.
    """
    alone = limit == "global_clipnorm"
    model = {"layers": [layer("Dense", "unit", units=1, use_bias=not alone)], "inputs": [[2]]}
    for error in (1.0, -1.0, 0.0, 2.0, -3.0):
        arrays = {"x": np.array([[1.0, 0.0]]), "y": np.array([[-error]])}
        calls: Calls = [
            ["compile", {"optimizer": ["SGD", {"momentum": 0.5, limit: 2.0}], "loss": "mean_squared_error"}],
            ["train_on_batch", {"x": X, "y": Y}],
            ["slots", {}],
        ]
        zero = {"unit/kernel": np.zeros((2, 1)), "unit/bias": np.zeros(1)}
        agree(shim, model, calls, arrays, weights={"unit/kernel": zero["unit/kernel"]} if alone else zero)
