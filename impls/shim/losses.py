"""Losses: each a scalar, the mean over the examples (and places) of a batch, optionally weighted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from impls.shim import keras_names
from impls.shim.backends.contract import Array, Backend, Function
from impls.shim.config import looked_up, refuse_keras, refuse_two_arguments

Loss = Function  # (B, y, outputs, w) to a scalar


def average(B: Backend, losses: Array, w: Array) -> Array:
    """The sum of weighted losses over their number, as Keras has it: the weights do not divide.

    A weight is one of an example, (N,), or of each of its places, (N, T).
    """
    if w is None:
        return B.mean(losses)
    missing = len(losses.shape) - len(w.shape)
    return B.mean(losses * (B.reshape(w, (-1, *w.shape[1:], *(1,) * missing)) if missing else w))


def kept(B: Backend, mask: Array, dtype: str) -> Array:
    """Weights (N, T) that make a mean one over the places where the mask is true; Keras's epsilon is in it."""
    true = B.cast(mask, dtype)
    return true * (math.prod(mask.shape) / (B.sum(true) + 1e-7))


def times(B: Backend, w: Array, places: Array) -> Array:
    """Weights of examples or places, times those of places."""
    if w is None:
        return places
    return B.reshape(w, (-1, *w.shape[1:], *(1,) * (len(places.shape) - len(w.shape)))) * places


def softmax_cross_entropy(B: Backend, y: Array, logits: Array, w: Array | None = None) -> Array:
    """Labels (B, ...) as integers, or shares of the classes (B, ..., classes), against logits (B, ..., classes)."""
    if len(y.shape) == len(logits.shape):
        return average(B, shares_cross_entropy(B, y, logits), w)
    losses = B.softmax_cross_entropy(logits, y, w is None)
    return losses if w is None else average(B, losses, w)


def sigmoid_cross_entropy(B: Backend, y: Array, logits: Array, w: Array | None = None) -> Array:
    """Labels in [0, 1] against logits of the same shape."""
    losses = B.sigmoid_cross_entropy(logits, y, w is None)
    return losses if w is None else average(B, losses, w)


def mean_squared_error(B: Backend, y: Array, outputs: Array, w: Array | None = None) -> Array:
    error = outputs - y
    return average(B, error * error, w)


def mean_absolute_error(B: Backend, y: Array, outputs: Array, w: Array | None = None) -> Array:
    return average(B, B.abs(outputs - y), w)


def huber(B: Backend, y: Array, outputs: Array, w: Array | None = None) -> Array:
    """Huber (1964) with delta 1: half the square near zero, linear beyond."""
    size = B.abs(outputs - y)
    return average(B, B.where(size <= 1, 0.5 * size * size, size - 0.5), w)


def log_sum(B: Backend, logits: Array) -> Array:
    """log(sum(exp(logits))) over the last axis, from the loss of class 0, which no exponential overflows."""
    return B.softmax_cross_entropy(logits, B.argmax(logits) * 0, False) + logits[..., 0]


def shares_cross_entropy(B: Backend, y: Array, logits: Array) -> Array:
    """-sum(y log softmax(logits)) over the last axis."""
    return log_sum(B, logits) * B.sum(y, -1) - B.sum(y * logits, -1)


EPSILON = 1e-7  # Keras's


def inside(B: Backend, p: Array, low: float = EPSILON, high: float = 1 - EPSILON) -> Array:
    """`p` between two limits, with slope 0 beyond them and 1 on them."""
    p = B.where(p < low, low, p)
    return B.where(p > high, high, p)


@dataclass(frozen=True)
class CategoricalCrossEntropy:
    """Keras's: classes as integers, one-hot or shares, against probabilities, or against logits."""

    from_logits: bool = False
    label_smoothing: float = 0.0

    def __call__(self, B: Backend, y: Array, outputs: Array, w: Array | None = None) -> Array:
        logs = outputs
        if not self.from_logits:
            logs = B.log(inside(B, outputs / B.sum(outputs, -1, keepdims=True)))
        smooth = self.label_smoothing
        if len(y.shape) == len(outputs.shape):
            y = y * (1 - smooth) + smooth / outputs.shape[-1]
            losses = shares_cross_entropy(B, y, logs) if self.from_logits else B.sum(y * logs, -1) * -1.0
            return average(B, losses, w)
        total = log_sum(B, logs)
        losses = B.softmax_cross_entropy(logs, y, False)
        if not self.from_logits:  # minus the logarithm of the label's own probability, whatever all sum up to
            losses = losses - total
            total = total * 0.0
        if smooth:
            losses = losses * (1 - smooth) + (total - B.mean(logs, -1)) * smooth
        return average(B, losses, w)


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Keras's: labels in [0, 1] against probabilities of the same shape, or against logits."""

    from_logits: bool = False
    label_smoothing: float = 0.0

    def __call__(self, B: Backend, y: Array, outputs: Array, w: Array | None = None) -> Array:
        y = y * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        if self.from_logits:
            return sigmoid_cross_entropy(B, y, outputs, w)
        p = inside(B, outputs)
        return average(B, (y * B.log(p) + (1 - y) * B.log(1 - p)) * -1.0, w)


def kl_divergence(B: Backend, y: Array, outputs: Array, w: Array | None = None) -> Array:
    """Kullback and Leibler (1951): sum(y log(y / p)) over the last axis, both between 1e-7 and 1."""
    y, p = inside(B, y, EPSILON, 1.0), inside(B, outputs, EPSILON, 1.0)
    return average(B, B.sum(y * (B.log(y) - B.log(p)), -1), w)


def cosine_similarity(B: Backend, y: Array, outputs: Array, w: Array | None = None) -> Array:
    """Minus the cosine of the angle between target and output, over the last axis."""

    def unit(x: Array) -> Array:
        square = B.sum(x * x, -1, keepdims=True)
        return x / B.sqrt(B.where(square > 1e-12, square, 1e-12))

    return average(B, B.sum(unit(y) * unit(outputs), -1) * -1.0, w)


LOSSES: dict[str, Loss] = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "sigmoid_cross_entropy": sigmoid_cross_entropy,
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "huber": huber,
}


KERAS_LOSSES: dict[str, Loss] = {  # as Keras calls them, and means them: of probabilities
    "categorical_crossentropy": CategoricalCrossEntropy(),
    "sparse_categorical_crossentropy": CategoricalCrossEntropy(),
    "binary_crossentropy": BinaryCrossEntropy(),
    "kl_divergence": kl_divergence,
    "cosine_similarity": cosine_similarity,
    "bce": BinaryCrossEntropy(),
    "kld": kl_divergence,
    "mse": mean_squared_error,
    "mae": mean_absolute_error,
    "huber_loss": huber,
}


def loss_function(name: str | Loss | None) -> Loss:
    """The loss called `name`, ours or Keras's; a function `(B, y, outputs, w)` is taken as it is."""
    if isinstance(name, (list, tuple, dict)):
        raise ValueError(f"a model has one output, and loss= is a name or a function: got {name!r}")
    refuse_keras("loss", name)
    if callable(name):
        refuse_two_arguments("loss", name, "(B, y, outputs, w), w being None or a weight for each example")
        return name
    return looked_up("loss", name, {**LOSSES, **KERAS_LOSSES})


def takes_classes(loss: Loss | None) -> bool:
    """Whether its labels are classes, which may be integers."""
    return loss is softmax_cross_entropy or isinstance(loss, CategoricalCrossEntropy)


def without_options(name: str, loss: str) -> Callable[[], Loss]:
    """A class of Keras that is a function here: what `name` makes where it is given nothing."""

    def make(*values: object, **options: object) -> Loss:
        if values or options:
            given = ", ".join([*map(repr, values), *options])
            raise TypeError(f"{name} takes no options in the shim, got {given}: a loss of your own has what it needs")
        return {**LOSSES, **KERAS_LOSSES}[loss]

    return make


if not TYPE_CHECKING:  # a type checker shall know what is there

    def __getattr__(name: str) -> object:
        if name in keras_names.LOSSES:
            return globals()[keras_names.LOSSES[name]]
        if name in keras_names.LOSSES_WITHOUT_OPTIONS:
            return without_options(name, keras_names.LOSSES_WITHOUT_OPTIONS[name])
        return keras_names.elsewhere(
            "losses", name, f"a loss is a function (B, y, outputs, w) or one of {', '.join([*LOSSES, *KERAS_LOSSES])}"
        )
