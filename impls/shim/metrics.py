"""Metrics: one value a place, averaged on the device over the places that a mask keeps; or a scalar of one's own.

An epoch's value is the mean over its examples. Sample and class weights change the loss, not the metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from impls.shim.backends.contract import Array, Backend, Function
from impls.shim.config import looked_up, refuse_keras
from impls.shim.keras_names import elsewhere
from impls.shim.losses import BinaryCrossEntropy, Loss, takes_classes

Metric = Function  # (B, y, outputs) to a value a place, or a scalar


def share(B: Backend, hits: Array, like: Array) -> Array:
    return B.where(hits, B.ones_like(like), B.zeros_like(like))


def accuracy(B: Backend, y: Array, outputs: Array) -> Array:
    """Integer labels against the largest output; labels of the outputs' own shape against the sign of logits."""
    if len(y.shape) == len(outputs.shape):
        return share(B, (outputs > 0) == (y > 0.5), y)
    return share(B, B.argmax(outputs) == y, outputs[..., 0])


def categorical_accuracy(B: Backend, y: Array, outputs: Array) -> Array:
    """Classes, as integers or the largest share, against the largest output."""
    if len(y.shape) == len(outputs.shape):
        y = B.argmax(y)
    return share(B, B.argmax(outputs) == y, outputs[..., 0])


def binary_accuracy(B: Backend, y: Array, outputs: Array) -> Array:
    """Labels against whether a probability is above one half."""
    return share(B, share(B, outputs > 0.5, y) == y, y)


def mean_absolute_error(B: Backend, y: Array, outputs: Array) -> Array:
    return B.abs(outputs - y)


def mean_squared_error(B: Backend, y: Array, outputs: Array) -> Array:
    error = outputs - y
    return error * error


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "mean_absolute_error": mean_absolute_error,
    "mean_squared_error": mean_squared_error,
}


KERAS_METRICS: dict[str, Metric] = {  # as Keras calls them
    "binary_accuracy": binary_accuracy,
    "categorical_accuracy": categorical_accuracy,
    "sparse_categorical_accuracy": categorical_accuracy,
    "mae": mean_absolute_error,
    "mse": mean_squared_error,
}


def metric_function(name: str | Metric, loss: Loss | None = None) -> Metric:
    """The metric called `name`, ours or Keras's; a function `(B, y, outputs)` gives one value a place, or a scalar.

    "accuracy" is what fits the loss: of classes, of probabilities, or of logits.
    """
    refuse_keras("metric", name)
    if callable(name):
        return name
    if name in ("accuracy", "acc"):
        return accuracy_for(loss)
    return looked_up("metric", name, {**METRICS, **KERAS_METRICS})


def accuracy_for(loss: Loss | None) -> Metric:
    if takes_classes(loss):
        return categorical_accuracy
    if isinstance(loss, BinaryCrossEntropy) and not loss.from_logits:
        return binary_accuracy
    return accuracy


if not TYPE_CHECKING:  # a type checker shall know what is there

    def __getattr__(name: str) -> object:
        return elsewhere(
            "metrics", name, f"a metric is a function (B, y, outputs) or one of {', '.join([*METRICS, *KERAS_METRICS])}"
        )
