"""Losses and metrics by Keras's names against its formulas: smoothed, weighted, saturated, and with their slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim.losses import BinaryCrossEntropy, CategoricalCrossEntropy
from impls.shim.test_as_keras import softmax

RNG = np.random.default_rng(7)
CLASSES = RNG.integers(0, 3, 8)
HOT = np.eye(3)[CLASSES]
SHARES = softmax(RNG.normal(size=(8, 3)))
BITS = RNG.integers(0, 2, (8, 3)).astype(float)
WEIGHTS = RNG.uniform(0.2, 3, 8)
P = RNG.uniform(0.05, 0.9, (8, 3))  # these do not sum up to 1
Z = RNG.normal(size=(8, 3)) * 2


def identity(loss: Any, metrics: Any = (), inputs: tuple[int, ...] = (3,)) -> shim.Sequential:
    """A model whose outputs are its inputs, and whose bias shows the slope of the loss by them."""
    found = shim.Sequential([shim.Dense(3, name="unit")], inputs=inputs, backend="numpy", dtype="float64")
    found.compile(shim.SGD(1.0), loss, metrics)
    found.set_weights({"unit/kernel": np.eye(3), "unit/bias": np.zeros(3)})
    return found


def check(loss: Any, y: Any, outputs: np.ndarray, formula: Callable[[Any], Any]) -> None:
    """The loss, plain and weighted, and its slope by a shift of every output: a complex step of the formula."""
    for weights in (None, WEIGHTS[: len(outputs)]):
        factor = 1.0 if weights is None else weights
        model = identity(loss)
        expected = np.mean(formula(outputs) * factor)
        assert model.evaluate(outputs, y, sample_weight=weights) == pytest.approx(expected, rel=1e-12)
        model.train_on_batch(outputs, y, sample_weight=weights)
        for at, step in enumerate(np.eye(3) * 1e-30j):
            slope = np.mean(formula(outputs + step) * factor).imag / 1e-30
            assert -model.get_weights()["unit/bias"][at] == pytest.approx(slope, rel=1e-9, abs=1e-13)
    sequence = identity(loss, inputs=(len(outputs), 3))  # as one example of so many places
    assert sequence.evaluate(outputs[None], y[None]) == pytest.approx(np.mean(formula(outputs)), rel=1e-12)


def clipped(p: Any, low: float = 1e-7, high: float = 1 - 1e-7) -> Any:
    return np.where(p.real < low, low, np.where(p.real > high, high, p))


def crossed(y: np.ndarray) -> Callable[[Any], Any]:
    """-sum(y log p), p being what is given over its sum, between Keras's limits."""
    return lambda p: -(y * np.log(clipped(p / p.sum(-1, keepdims=True)))).sum(-1)


def of_logits(y: np.ndarray) -> Callable[[Any], Any]:
    return lambda z: -(y * (z - np.log(np.exp(z).sum(-1, keepdims=True)))).sum(-1)


def of_two(y: np.ndarray) -> Callable[[Any], Any]:
    return lambda p: -(y * np.log(clipped(p)) + (1 - y) * np.log(1 - clipped(p))).mean(-1)


def of_two_logits(y: np.ndarray) -> Callable[[Any], Any]:
    return lambda z: (np.log(1 + np.exp(z)) - y * z).mean(-1)


def size(error: Any) -> Any:
    """The absolute value, with a slope."""
    return np.sign(error.real) * error


def smoothed(y: np.ndarray, by: float) -> np.ndarray:
    """Szegedy et al. (2016): a share of the label for all classes alike."""
    return y * (1 - by) + by / 3


EDGE = np.array([[1.0, 0, 0], [0, 1e-9, 1], [1 - 1e-9, 5e-8, 0.5], [1e-7, 1 - 1e-7, 0.25]])  # the last: at the limits
FIRST = np.eye(3)[[0, 0, 1, 2]]
HALVES = np.array([[0.5, 0.25, 0.25], [0.0, 0.5, 0.5], [0.25, 0.0, 0.75]])  # they sum up to 1 exactly, and are not hot
CHECKS: dict[str, tuple[Any, Any, np.ndarray, Callable[[Any], Any]]] = {
    "classes": ("sparse_categorical_crossentropy", CLASSES, P, crossed(HOT)),
    "classes, smoothed": (CategoricalCrossEntropy(label_smoothing=0.3), CLASSES, P, crossed(smoothed(HOT, 0.3))),
    "one-hot, smoothed": (CategoricalCrossEntropy(label_smoothing=0.3), HOT, P, crossed(smoothed(HOT, 0.3))),
    "shares": ("categorical_crossentropy", SHARES, P, crossed(SHARES)),
    "shares, smoothed": (CategoricalCrossEntropy(label_smoothing=0.2), SHARES, P, crossed(smoothed(SHARES, 0.2))),
    "shares of logits": (CategoricalCrossEntropy(True, 0.2), SHARES, Z, of_logits(smoothed(SHARES, 0.2))),
    "classes of logits": (CategoricalCrossEntropy(True, 0.2), CLASSES, Z, of_logits(smoothed(HOT, 0.2))),
    "halves": ("categorical_crossentropy", HALVES, P[:3], crossed(HALVES)),
    "several ones": (CategoricalCrossEntropy(True), BITS, Z, of_logits(BITS)),
    "certain classes": ("categorical_crossentropy", FIRST, EDGE, crossed(FIRST)),
    "two": ("bce", BITS, P, of_two(BITS)),
    "two, smoothed": (BinaryCrossEntropy(label_smoothing=0.3), BITS, P, of_two(BITS * 0.7 + 0.15)),
    "two of logits, smoothed": (BinaryCrossEntropy(True, 0.3), BITS, Z, of_two_logits(BITS * 0.7 + 0.15)),
    "two, certain": ("binary_crossentropy", FIRST, EDGE, of_two(FIRST)),
    "divergence": (
        "kld", SHARES, P, lambda p: (clipped(SHARES, high=1) * np.log(clipped(SHARES, high=1) / p)).sum(-1)
    ),
    "divergence, certain": (
        "kl_divergence", FIRST, EDGE,
        lambda p: (clipped(FIRST, high=1) * np.log(clipped(FIRST, high=1) / clipped(p, high=1))).sum(-1),
    ),
    "divergence, beyond one": (
        "kld", FIRST * 1.25, EDGE + 0.125,
        lambda p: (clipped(FIRST * 1.25, high=1) * np.log(clipped(FIRST * 1.25, high=1) / clipped(p, high=1))).sum(-1),
    ),
    "cosine": (
        "cosine_similarity", SHARES, Z * 1e-4,
        lambda z: -(SHARES * z).sum(-1) / np.sqrt((SHARES**2).sum(-1) * (z * z).sum(-1)),
    ),
    "cosine of almost nothing": (
        "cosine_similarity", SHARES, Z * 1e-8, lambda z: -(SHARES * z).sum(-1) / np.sqrt((SHARES**2).sum(-1)) / 1e-6
    ),
    "huber": (
        "huber_loss", BITS, Z,
        lambda z: np.where(size(z - BITS).real <= 1, (z - BITS) ** 2 / 2, size(z - BITS) - 0.5).mean(-1),
    ),
    "absolute": ("mae", BITS, Z, lambda z: size(z - BITS).mean(-1)),
    "squared": ("mse", BITS, Z, lambda z: ((z - BITS) ** 2).mean(-1)),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_losses_with_weights_and_their_slopes(name: str) -> None:
    check(*CHECKS[name])


TIES = np.where(P < 0.6, 0.5, P)  # a probability of one half is no hit, nor is a logit of 0
METRICS: dict[str, tuple[Any, Any, np.ndarray, float]] = {
    "accuracy of probabilities": ("binary_crossentropy", BITS, P, float((P.argmax(-1) == BITS.argmax(-1)).mean())),
    "accuracy of logits": (BinaryCrossEntropy(True), BITS, P - 0.45, float(((P > 0.45) == BITS).mean())),  # all < 0.5
    "accuracy beside any loss": ("mse", BITS, TIES, float((TIES.argmax(-1) == BITS.argmax(-1)).mean())),
    "accuracy of nothing": (BinaryCrossEntropy(True), BITS, TIES - 0.5, float(((P >= 0.6) == BITS).mean())),
    "accuracy of classes": ("sparse_categorical_crossentropy", CLASSES, P, float((P.argmax(-1) == CLASSES).mean())),
    "accuracy of shares": ("categorical_crossentropy", SHARES, P, float((P.argmax(-1) == SHARES.argmax(-1)).mean())),
}


@pytest.mark.parametrize("name", METRICS)
def test_accuracy_is_what_fits_the_loss(name: str) -> None:
    loss, y, outputs, expected = METRICS[name]
    names = ["accuracy", "mae", "mse"] if y is BITS else ["accuracy"]
    found = identity(loss, names).evaluate(outputs, y, return_dict=True, sample_weight=WEIGHTS)
    assert found["accuracy"] == pytest.approx(expected) and 0 < expected < 1
    if y is BITS:
        assert found["mae"] == pytest.approx(np.abs(outputs - y).mean())
        assert found["mse"] == pytest.approx(((outputs - y) ** 2).mean())


def test_accuracy_of_one_number_is_whether_it_is_above_one_half() -> None:
    """Beside "mse" it was whether it is above 0, which a sigmoid always is."""
    B = shim.backend_module("numpy")
    y, outputs = np.array([[1.0], [0.0], [1.0], [0.0]]), np.array([[0.4], [0.3], [0.6], [0.5]])
    found = shim.metrics.metric_function("accuracy", shim.losses.mean_squared_error)(B, y, outputs)
    np.testing.assert_array_equal(found, [[0.0], [1.0], [1.0], [1.0]])


def test_what_the_newer_layers_start_with() -> None:
    """Glorot and Bengio's (2010) limits for kernels, 0.05 for tables, 1 for what multiplies and 0 for the rest."""
    start, pixels = shim.Input((40, 24)), shim.Input((6, 6, 24))
    sequence = shim.PositionEmbedding(40, name="uniform")(start)
    sequence = shim.MultiHeadAttention(3, 8, name="attention")(shim.RMSNorm()(sequence))
    sequence = shim.PReLU(name="prelu")(shim.Conv1D(30, 3, name="conv1d")(shim.GroupNorm(4)(sequence)))
    image = shim.Conv2DTranspose(20, 3, name="transposed")(shim.SeparableConv2D(32, 3, name="separable")(pixels))
    whole = shim.Concatenate()([shim.GlobalMaxPool1D()(sequence), shim.GlobalMaxPool2D()(image)])
    weights = shim.Model([start, pixels], whole, backend="numpy").get_weights()
    fans = {
        "attention/query/kernel": (24 * 3, 24 * 8), "attention/attention_output/kernel": (3 * 8, 3 * 24),
        "conv1d/kernel": (3 * 24, 3 * 30), "transposed/kernel": (9 * 20, 9 * 32),
        "separable/pointwise_kernel": (24, 32),
    }  # fmt: skip
    limits = {name: (6 / sum(both)) ** 0.5 for name, both in fans.items()} | {"uniform/embeddings": 0.05}
    for name, limit in limits.items():
        largest = np.abs(weights[name]).max()
        assert 0.97 * limit < largest <= limit, name
        assert abs(weights[name].std() / (limit / 3**0.5) - 1) < 0.1, name
    for name, value in weights.items():
        if not name.endswith(("kernel", "embeddings")):
            assert (value == (1 if name.endswith("gamma") else 0)).all(), name
