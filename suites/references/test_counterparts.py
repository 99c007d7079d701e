"""The references against what others wrote: Keras, torch and optax. What differs by design stands in the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from suites.references import losses
from suites.references.activations import ACTIVATIONS
from suites.references.libraries import Libraries
from suites.references.loss_scale import LossScale
from suites.references.optimizers import Optimizer
from suites.references.shim import Arrays

pytestmark = pytest.mark.full
FLOAT32, FLOAT64 = (float(np.finfo(dtype).eps) for dtype in (np.float32, np.float64))
# An update rounds its rate, the statistics' corrections and their product with the gradient; each update adds its own.
ROUNDINGS = 4
STEPS, EPS = 6, 1e-30  # an epsilon so small that it does not matter on which side of the root it stands


def within(found: Any, right: Any, roundings: float, unit: float) -> None:
    """Fails where an element is off by more than so many roundings of itself, or a few of the largest in float64."""
    found, right = np.asarray(found), np.asarray(right)
    assert found.shape == right.shape
    allowed = roundings * unit * np.abs(right) + 8 * FLOAT64 * np.max(np.abs(right), initial=0.0)
    assert np.all(np.abs(found - right) <= allowed), (
        f"off by {np.max(np.abs(found - right)):.1e} of {allowed.max():.1e}"
    )


def close_to_the_largest(found: Any, right: Any, roundings: float, unit: float) -> None:
    """The same for weights, whose updates round at the size of the weights and not of their change."""
    off, largest = np.max(np.abs(np.asarray(found) - right)), np.max(np.abs(right))
    assert off <= roundings * unit * largest, f"off by {off:.1e}, which is {off / unit / largest:.1f} roundings"


def training() -> Arrays:
    """Two weights and their gradients over a few updates, some of them zero."""
    rng = np.random.default_rng(0)
    arrays = {"w/0": rng.normal(size=(3, 2)), "w/1": rng.normal(size=4)}
    arrays |= {f"g/{at}": rng.normal(size=(STEPS, *arrays[f"w/{at}"].shape)) for at in (0, 1)}
    arrays["g/1"][:, 0] = 0
    return arrays


def by_reference(described: list[Any], arrays: Arrays) -> Arrays:
    """The weights after each update, by the papers."""
    weights = {name: arrays[name] for name in ("w/0", "w/1")}
    optimizer = Optimizer(described)
    optimizer.start(weights)
    history: dict[str, list[np.ndarray]] = {name: [] for name in weights}
    for t in range(STEPS):
        weights = {**weights, **optimizer.update(weights, {f"w/{at}": arrays[f"g/{at}"][t] for at in (0, 1)})}
        for name, weight in weights.items():
            history[name].append(weight)
    return {name: np.stack(values) for name, values in history.items()}


DECAY = {"decay_steps": 2, "decay_rate": 0.5}
KERAS: dict[str, list[Any]] = {
    "sgd": ["SGD", {"learning_rate": 0.1}],
    "momentum": ["SGD", {"learning_rate": 0.1, "momentum": 0.9}],
    "nesterov": ["SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}],
    "by value": ["SGD", {"learning_rate": 0.1, "clipvalue": 0.5}],
    "by each norm": ["SGD", {"learning_rate": 0.1, "clipnorm": 0.5}],
    "by the norm of all": ["SGD", {"learning_rate": 0.1, "global_clipnorm": 0.5, "weight_decay": 0.1}],
    "adam": ["Adam", {}],
    "adam, large epsilon": ["Adam", {"epsilon": 0.1, "learning_rate": 0.1}],
    "adamw": ["AdamW", {"learning_rate": 0.1}],
    "rmsprop": ["RMSprop", {}],
    "rmsprop, large epsilon": ["RMSprop", {"epsilon": 0.1, "rho": 0.7, "learning_rate": 0.1}],
    "adagrad": ["Adagrad", {"learning_rate": 0.1}],
    "adagrad, large epsilon": ["Adagrad", {"epsilon": 0.1, "learning_rate": 0.1, "initial_accumulator_value": 0.0}],
    "decay": ["Adam", {"learning_rate": ["ExponentialDecay", {"learning_rate": 0.1, **DECAY}]}],
    "stairs": ["AdamW", {"learning_rate": ["ExponentialDecay", {"learning_rate": 0.1, **DECAY, "staircase": True}]}],
    "cosine": ["SGD", {"learning_rate": ["CosineDecay", {"learning_rate": 0.1, "decay_steps": 4, "alpha": 0.1}]}],
}


@pytest.mark.parametrize("name", KERAS)
@pytest.mark.one_in(3)
def test_keras_updates(name: str, libraries: Libraries) -> None:
    """Every rule with Keras's own defaults: nothing differs by design."""
    kind, options = KERAS[name]
    given = dict(options)
    if isinstance(given.get("learning_rate"), list):
        schedule, settings = given["learning_rate"]
        rest = {key: value for key, value in settings.items() if key != "learning_rate"}
        given["learning_rate"] = [schedule, {"initial_learning_rate": settings["learning_rate"], **rest}]
    found = libraries["keras"].ask("updates", kind, given, training())
    for weight, right in by_reference([kind, options], training()).items():
        # Keras computes rates and bias corrections in float32, whatever the weights are.
        close_to_the_largest(found[weight], right, ROUNDINGS * STEPS, FLOAT32)


ADDED_TO_THE_NORM = 1e-6  # by torch.nn.utils.clip_grad_norm_, so that nothing is divided by zero
TORCH: dict[str, tuple[list[Any], list[Any]]] = {  # ours; torch's, with what says the same there
    "sgd": (["SGD", {"learning_rate": 0.1}], ["SGD", {"lr": 0.1}]),
    "momentum": (["SGD", {"learning_rate": 0.1, "momentum": 0.9}], ["SGD", {"lr": 0.1, "momentum": 0.9}]),
    "nesterov": (
        ["SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}],
        ["SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}],
    ),
    "the norm of all": (
        ["SGD", {"learning_rate": 0.1, "global_clipnorm": 0.5}],
        ["SGD", {"lr": 0.1, "global_clipnorm": 0.5}],
    ),
    "adam": (["Adam", {"learning_rate": 0.1, "epsilon": EPS}], ["Adam", {"lr": 0.1, "eps": EPS}]),
    "adamw": (
        ["AdamW", {"learning_rate": 0.1, "epsilon": EPS, "weight_decay": 0.2}],
        ["AdamW", {"lr": 0.1, "eps": EPS, "weight_decay": 0.2}],
    ),
    "rmsprop": (
        ["RMSprop", {"learning_rate": 0.1, "epsilon": EPS, "rho": 0.8}],
        ["RMSprop", {"lr": 0.1, "eps": EPS, "alpha": 0.8}],
    ),
    "adagrad": (
        ["Adagrad", {"learning_rate": 0.1, "epsilon": EPS, "initial_accumulator_value": 0.3}],
        ["Adagrad", {"lr": 0.1, "eps": EPS, "initial_accumulator_value": 0.3}],
    ),
    "decay": (
        ["Adam", {"learning_rate": ["ExponentialDecay", {"learning_rate": 0.1, "decay_steps": 1, "decay_rate": 0.7}]}],
        ["Adam", {"lr": 0.1, "eps": EPS, "decay_rate": 0.7}],
    ),
}


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.one_in(8)
def test_torch_updates(name: str, libraries: Libraries) -> None:
    """torch's epsilon stands elsewhere, so it is left out of both; its momentum holds gradients, ours steps."""
    (kind, options), (theirs, given) = TORCH[name]
    if name == "decay":
        options = {**options, "epsilon": EPS}
    found = libraries["torch"].ask("updates", theirs, given, training())
    for weight, right in by_reference([kind, options], training()).items():
        added = STEPS * ADDED_TO_THE_NORM if name == "the norm of all" else 0.0
        close_to_the_largest(found[weight], right, ROUNDINGS * STEPS + added / FLOAT64, FLOAT64)


OPTAX: dict[str, tuple[list[Any], list[Any]]] = {
    "nesterov": (
        ["SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}],
        ["sgd", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}],
    ),
    "the norm of all": (
        ["SGD", {"learning_rate": 0.1, "global_clipnorm": 0.5}],
        ["sgd", {"learning_rate": 0.1, "global_clipnorm": 0.5}],
    ),
    "adam": (["Adam", {"learning_rate": 0.1, "epsilon": EPS}], ["adam", {"learning_rate": 0.1, "eps": EPS}]),
    "rmsprop": (
        ["RMSprop", {"learning_rate": 0.1, "epsilon": 0.01}],
        ["rmsprop", {"learning_rate": 0.1, "eps": 0.01, "decay": 0.9}],  # in the root there too
    ),
    "adagrad": (
        ["Adagrad", {"learning_rate": 0.1, "epsilon": 0.01}],
        ["adagrad", {"learning_rate": 0.1, "eps": 0.01, "initial_accumulator_value": 0.1}],
    ),
    "stairs": (
        ["SGD", {"learning_rate": ["ExponentialDecay", {"learning_rate": 0.1, **DECAY, "staircase": True}]}],
        [
            "sgd",
            {
                "learning_rate": [
                    "exponential_decay",
                    {"init_value": 0.1, "transition_steps": 2, "decay_rate": 0.5, "staircase": True},
                ]
            },
        ],
    ),
    "cosine": (
        ["SGD", {"learning_rate": ["CosineDecay", {"learning_rate": 0.1, "decay_steps": 4, "alpha": 0.1}]}],
        ["sgd", {"learning_rate": ["cosine_decay_schedule", {"init_value": 0.1, "decay_steps": 4, "alpha": 0.1}]}],
    ),
}


@pytest.mark.parametrize("name", OPTAX)
@pytest.mark.one_in(3)
def test_optax_updates(name: str, libraries: Libraries) -> None:
    (kind, options), (theirs, given) = OPTAX[name]
    found = libraries["optax"].ask("updates", theirs, given, training())
    for weight, right in by_reference([kind, options], training()).items():
        close_to_the_largest(found[weight], right, ROUNDINGS * STEPS, FLOAT32)  # optax's schedules are float32


def test_keras_loss_scale(libraries: Libraries) -> None:
    """Which updates are done, and the scale of each: halved by an overflow, doubled after three in a row."""
    arrays = training()
    arrays["g/0"][1] = np.inf
    arrays["g/1"][2] = np.nan
    scaling = {"initial_scale": 8.0, "dynamic_growth_steps": 3}
    found = libraries["keras"].ask("updates", "Adam", {"learning_rate": 0.1, "scaled": scaling}, arrays)
    scale = LossScale(8.0, interval=3)
    scales, done = [], []
    for t in range(STEPS):
        scales.append(scale.value)
        gradients = {str(at): np.nan_to_num(arrays[f"g/{at}"][t], nan=1e9, posinf=1e9) for at in (0, 1)}
        done.append(scale.allows(gradients))
    np.testing.assert_array_equal(found["scales"], scales)
    still = dict(arrays)
    for name in ("g/0", "g/1"):
        still[name] = arrays[name][np.array(done)]
    assert done == [True, False, False, True, True, True]
    optimizer, weights = Optimizer(["Adam", {"learning_rate": 0.1}]), {name: arrays[name] for name in ("w/0", "w/1")}
    optimizer.start(weights)
    for t in range(len(still["g/0"])):
        weights = optimizer.update(weights, {f"w/{at}": still[f"g/{at}"][t] for at in (0, 1)})
    for name, weight in weights.items():
        close_to_the_largest(found[name][-1], weight, ROUNDINGS * STEPS, FLOAT32)


LOSSES: dict[str, tuple[list[Any], list[Any]]] = {  # Keras's, torch's
    "softmax_cross_entropy": (["SparseCategoricalCrossentropy", {"from_logits": True}], ["cross_entropy", {}]),
    "sigmoid_cross_entropy": (["BinaryCrossentropy", {"from_logits": True}], ["binary_cross_entropy_with_logits", {}]),
    "mean_squared_error": (["MeanSquaredError", {}], ["mse_loss", {}]),
    "mean_absolute_error": (["MeanAbsoluteError", {}], ["l1_loss", {}]),
    "huber": (["Huber", {}], ["huber_loss", {}]),
}


@pytest.mark.parametrize("library", ["keras", "torch"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients(name: str, library: str, libraries: Libraries) -> None:
    """Values and slopes, also far out and exactly at the kinks."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(6, 4)) * 3
    z[0], z[1] = 0.0, 30.0
    y = rng.integers(0, 4, 6) if name == "softmax_cross_entropy" else (rng.random((6, 4)) < 0.5).astype(float)
    if name != "softmax_cross_entropy":
        z[2] = y[2]
        z[3] = y[3] + 1
    theirs, options = LOSSES[name][library == "torch"]
    found = libraries[library].ask("loss", theirs, options, {"z": z, "y": y})
    formula = losses.LOSSES[name]
    exact = library == "torch"  # Keras divides by a number in float32
    unit = FLOAT64 if exact else FLOAT32
    within(found["loss"], formula(y, z).mean(), 8, unit)
    slopes = np.zeros(z.shape)
    for at in np.ndindex(z.shape):
        moved = z.astype(complex)
        moved[at] += 1e-30j
        slopes[at] = formula(y, moved).mean().imag / 1e-30
    within(found["slope"], slopes, 8, unit)


NAMES = {"swish": "silu", "gelu_tanh": "gelu"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_keras_activations(name: str, libraries: Libraries) -> None:
    """Values and slopes; at a kink Keras's slope on torch is 0 for relu and the negative one for leaky relu."""
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(5, 4)) * 4, rng.normal(size=(5, 4))
    x[0] = 0.0
    options = {"gelu": {"approximate": False}, "gelu_tanh": {"approximate": True}}.get(name, {})
    found = libraries["keras"].ask("activation", NAMES.get(name, name), options, {"x": x, "g": g})
    within(found["y"], ACTIVATIONS[name](x), 8, FLOAT64)
    slopes = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[at] += 1e-30j
        slopes[at] = (ACTIVATIONS[name](moved) * g).sum().imag / 1e-30
    within(found["slope"], slopes, 8, FLOAT64)


SPREADS: dict[str, Callable[[float, float], float]] = {  # of N inputs and M outputs
    "GlorotUniform": lambda n, m: 2 / (n + m),
    "GlorotNormal": lambda n, m: 2 / (n + m),
    "HeUniform": lambda n, m: 2 / n,
    "HeNormal": lambda n, m: 2 / n,
    "LecunUniform": lambda n, m: 1 / n,
    "LecunNormal": lambda n, m: 1 / n,
    "RandomUniform": lambda n, m: 0.05**2 / 3,
    "RandomNormal": lambda n, m: 0.05**2,
}


@pytest.mark.parametrize("name", SPREADS)
def test_keras_spreads_of_first_weights(name: str, libraries: Libraries) -> None:
    """The variance that the tests of first weights expect, of a convolution's kernel too: 40,000 draws each."""
    for shape, fans in (((200, 200), (200, 200)), ((3, 3, 40, 110), (360, 990))):
        values = libraries["keras"].ask("initializer", name, {"shape": shape}, {})["values"]
        variance = SPREADS[name](*fans)
        assert abs(values.var() / variance - 1) < 5 * np.sqrt(2 / values.size)
