"""Every layer, activation, loss and metric is its formula, forward and backward, on every branch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from suites.references.case import layer
from suites.references.cases import CASES
from suites.references.losses import LOSSES, METRICS
from suites.references.shim import Shim, agree

COMPILED = ("jax", "tensorflow")  # they compile for each shape and kind of call, which takes longer than all else
GRADIENTS = ["SGD", {"learning_rate": 0.5, "momentum": 0.5}]  # its velocity is the gradient times 0.5: exactly


def x_of(arrays: dict[str, np.ndarray]) -> Any:
    inputs = [name for name in arrays if name.startswith("x")]
    given = [{"array": name} for name in inputs]
    return given if len(given) > 1 else given[0]


@pytest.mark.parametrize("name", CASES)
def test_layers(name: str, shim: Shim) -> None:
    """Outputs in both modes, the loss, every gradient, running statistics, and all that once more after an update."""
    case = CASES[name]
    x, y = x_of(case.arrays), {"array": "y"}
    calls: list[Any] = [
        ["compile", {"optimizer": GRADIENTS, "loss": "mean_squared_error"}],
        ["predict", {"x": x}],
        ["train_on_batch", {"x": x, "y": y}],
        ["slots", {}],
        ["train_on_batch", {"x": x, "y": y}],
        ["weights", {}],
    ]
    if shim.backend not in COMPILED:
        calls.append(["evaluate", {"x": x, "y": y}])
    agree(shim, case.model, calls, case.arrays)


POOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "tiles": ("MaxPool2D", {"pool_size": 2}),
    "laps": ("MaxPool2D", {"pool_size": 3, "strides": 2, "padding": "same"}),
    "whole": ("GlobalMaxPool2D", {}),
}


def test_the_first_of_equal_places_has_the_slope(shim: Shim) -> None:
    """Every place has a bias of its own, that shows how much of the slope it got: of the largest the first gets all."""
    layers: list[dict[str, Any]] = []
    ends: list[int] = []
    weights: dict[str, np.ndarray] = {}
    for name, (kind, options) in POOLS.items():
        start = len(layers) + 1
        layers += [
            {**layer("Dense", name, units=24), "from": [0]},
            layer("Reshape", f"{name}-image", target_shape=[4, 6, 1]),
            layer(kind, f"{name}-pool", **options),
            layer("Reshape", f"{name}-row", target_shape=[{"tiles": 6, "laps": 6, "whole": 1}[name]]),
        ]
        ends.append(start + 3)
        weights[f"{name}/kernel"] = np.zeros((2, 24))
        weights[f"{name}/bias"] = np.random.default_rng(len(name)).integers(0, 2, 24).astype(float)
    layers.append({**layer("Concatenate", "side"), "from": ends})
    arrays = {"x": np.ones((2, 2)), "y": np.random.default_rng(0).normal(size=(2, 13))}
    calls: list[Any] = [
        ["compile", {"optimizer": GRADIENTS, "loss": "mean_squared_error"}],
        ["train_on_batch", {"x": {"array": "x"}, "y": {"array": "y"}}],
        ["slots", {}],
    ]
    agree(shim, {"layers": layers, "inputs": [[2]]}, calls, arrays, weights=weights)


EDGES = np.array([-800.0, -40, -20.5, -1, -1e-9, -0.0, 0, 1e-9, 1, 20, 20.5, 40, 800])
TARGETS = {
    "mean_squared_error": [-1.0, 0, 1],
    "mean_absolute_error": [-1.0, 0, 1],
    "huber": [-2.0, -1, 0, 1, 2],
    "sigmoid_cross_entropy": [0.0, 0.25, 0.5, 1],
}
IDENTITY = [layer("DepthwiseConv2D", "unit", kernel_size=1), layer("Flatten", "flat")]  # a weight and a bias for each


@pytest.mark.parametrize("loss", TARGETS)
def test_losses_at_their_kinks_and_far_out(loss: str, shim: Shim) -> None:
    """An error of 0, of exactly 1 either way, logits that overflow an exponential: the same slope everywhere.

    One output at a time, so that none is rounded away beside another; where that compiles for each, all side by side.
    """
    edges = EDGES if loss == "sigmoid_cross_entropy" else [-2.0, -1, 0, 1, 2]
    points = [(x, y) for x in edges for y in TARGETS[loss]]
    for group in [points] if shim.backend in COMPILED else [[point] for point in points]:
        x, y = np.array(group).T
        arrays = {"x": x[None, None, None], "y": y[None]}
        calls: list[Any] = [
            ["compile", {"optimizer": GRADIENTS, "loss": loss, "metrics": ["accuracy", "mean_absolute_error"]}],
            ["train_on_batch", {"x": {"array": "x"}, "y": {"array": "y"}}],
            ["slots", {}],
        ]
        model = {"layers": IDENTITY, "inputs": [[1, 1, len(x)]]}
        weights = {"unit/kernel": np.ones((1, 1, len(x), 1)), "unit/bias": np.zeros(len(x))}
        agree(shim, model, calls, arrays, weights=weights)


@pytest.mark.parametrize(
    "activation", ["relu", "leaky_relu", "softplus", "gelu", "gelu_tanh", "swish", "sigmoid", "tanh"]
)
def test_activations_at_their_kinks_and_far_out(activation: str, shim: Shim) -> None:
    """The slope at 0 is one convention; a large input gives no NaN and no infinity."""
    units = len(EDGES)
    model = {
        "layers": [layer("Dense", "unit", units=units), layer("Activation", activation=activation)],
        "inputs": [[units]],
    }
    arrays = {"x": EDGES[None], "y": np.full((1, units), 3.0)}  # nowhere an error of 0
    calls: list[Any] = [
        ["compile", {"optimizer": GRADIENTS, "loss": "mean_absolute_error"}],
        ["predict", {"x": {"array": "x"}}],
        ["train_on_batch", {"x": {"array": "x"}, "y": {"array": "y"}}],
        ["slots", {}],
    ]
    _, found = agree(shim, model, calls, arrays, weights={"unit/kernel": np.eye(units), "unit/bias": np.zeros(units)})
    assert np.isfinite(found["1/outputs"]).all()


def test_softmax_of_saturated_and_equal_logits(shim: Shim) -> None:
    """A label that is all but impossible, one that is certain, and a tie, which the first of the largest wins."""
    model = {"layers": [layer("Dense", "unit", units=4)], "inputs": [[4]]}
    x = np.array([[0.0, 900, -900, 3], [1, 1, 1, 1], [0, 2, 2, -1], [1e-9, 0, 0, 1e-9], [5, 5, 0, 0]])
    for labels in ([0, 1, 1, 0, 1], [1, 0, 2, 3, 0], [3, 3, 3, 3, 3]):
        arrays = {"x": x, "y": np.array(labels)}
        calls: list[Any] = [
            ["compile", {"optimizer": GRADIENTS, "loss": "softmax_cross_entropy", "metrics": ["accuracy"]}],
            ["train_on_batch", {"x": {"array": "x"}, "y": {"array": "y"}}],
            ["slots", {}],
        ]
        agree(shim, model, calls, arrays, weights={"unit/kernel": np.eye(4), "unit/bias": np.zeros(4)})


METRICS_OF = {loss: "accuracy" if "entropy" in loss else "mean_absolute_error" for loss in LOSSES}


@pytest.mark.parametrize("weighted", ["", "sample", "class", "both"])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_sequences_with_weights_and_masks(loss: str, weighted: str, shim: Shim) -> None:
    """Weights of examples, of classes, of places, with padding: they multiply, and none divides but the mask."""
    rng = np.random.default_rng(3)
    integers = loss == "softmax_cross_entropy"
    layers = [layer("Embedding", inputs=5, units=3, mask_zero=True), layer("Dense", units=3)]
    model = {"layers": layers, "inputs": [[4]]}
    ids = np.array([[1, 4, 2, 0], [0, 3, 3, 1], [0, 0, 0, 0], [2, 1, 1, 1]])
    y = rng.integers(0, 3, ids.shape) if integers else np.asarray(rng.integers(0, 2, (*ids.shape, 3)), float)
    arrays = {"x": ids, "y": y, "w": rng.uniform(0.5, 2, 4), "places": rng.uniform(0.5, 2, ids.shape)}
    options: dict[str, Any] = {"sample_weight": {"array": "w"}} if weighted in ("sample", "both") else {}
    if weighted in ("class", "both"):
        if not integers:
            options["sample_weight"] = {"array": "places"}
        else:
            options["class_weight"] = {"numbers": {"0": 1.0, "1": 0.25, "2": 3.0}}
    calls: list[Any] = [
        ["compile", {"optimizer": GRADIENTS, "loss": loss, "metrics": [METRICS_OF[loss], *sorted(METRICS)[1:]][:1]}],
        ["train_on_batch", {"x": {"array": "x"}, "y": {"array": "y"}, **options}],
        ["slots", {}],
        ["evaluate", {"x": {"array": "x"}, "y": {"array": "y"}}],
    ]
    agree(shim, model, calls, arrays)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_images_with_weights(loss: str, shim: Shim) -> None:
    """A weight of an example holds for all of its pixels, one of a pixel for all of its numbers."""
    rng = np.random.default_rng(4)
    integers = loss == "softmax_cross_entropy"
    model = {"layers": [layer("Conv2D", filters=3, kernel_size=1)], "inputs": [[2, 3, 2]]}
    y = rng.integers(0, 3, (4, 2, 3)) if integers else np.asarray(rng.integers(0, 2, (4, 2, 3, 3)), float)
    arrays = {"x": rng.normal(size=(4, 2, 3, 2)), "y": y}
    arrays |= {"w": rng.uniform(-0.5, 2, 4), "pixels": rng.uniform(-0.5, 2, (4, 2, 3))}
    data = {"x": {"array": "x"}, "y": {"array": "y"}}
    calls: list[Any] = [["compile", {"optimizer": GRADIENTS, "loss": loss, "metrics": [METRICS_OF[loss]]}]]
    for weights in ("w", "pixels"):
        calls += [["train_on_batch", {**data, "sample_weight": {"array": weights}}], ["slots", {}]]
    agree(shim, model, calls, arrays)
