"""Metrics: one value a place, averaged on the device over the places that a mask keeps; or a scalar of one's own.

An epoch's value is the mean over its examples. Sample and class weights change the loss, not the metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from impls.shim import keras_names
from impls.shim.backends.contract import Array, Backend, Constant, Function
from impls.shim.config import looked_up, refuse_keras, refuse_two_arguments
from impls.shim.losses import BinaryCrossEntropy, Loss, sigmoid_cross_entropy, takes_classes

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


def rows(B: Backend, y: Array, outputs: Array) -> Array:
    """Labels in the shape of the outputs: where a loss of classes has made integers of rows, they are rows again."""
    if len(y.shape) == len(outputs.shape):
        return y
    return B.embedding(y, B.constant(Constant(np.eye(outputs.shape[-1])), outputs))


def mean_absolute_error(B: Backend, y: Array, outputs: Array) -> Array:
    return B.abs(outputs - rows(B, y, outputs))


def mean_squared_error(B: Backend, y: Array, outputs: Array) -> Array:
    error = outputs - rows(B, y, outputs)
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

    "accuracy" is Keras's, which goes by shapes; beside a loss of logits of yes and no it counts from 0 on.
    """
    refuse_keras("metric", name)
    if callable(name):
        refuse_two_arguments("metric", name, "(B, y, outputs)")
        return name
    if name in ("accuracy", "acc"):
        return accuracy_for(loss)
    return looked_up("metric", name, {**METRICS, **KERAS_METRICS})


def accuracy_for(loss: Loss | None) -> Metric:
    if loss is sigmoid_cross_entropy or (isinstance(loss, BinaryCrossEntropy) and loss.from_logits):
        return accuracy
    return categorical_accuracy if takes_classes(loss) else accuracy_by_shape


def accuracy_by_shape(B: Backend, y: Array, outputs: Array) -> Array:
    """Of one number whether it is above one half, of several which is the largest."""
    return (binary_accuracy if outputs.shape[-1] == 1 else categorical_accuracy)(B, y, outputs)


def called(metric: Metric, name: str) -> Metric:
    """The same metric, which the history has under this name."""

    def measure(B: Backend, y: Array, outputs: Array) -> Array:
        return metric(B, y, outputs)

    measure.__name__ = name
    return measure


def named(kind: str) -> Callable[[str | None], Metric]:
    """A class of Keras that is a function here, which the history has under the name that it is given."""

    def make(name: str | None = None) -> Metric:
        return called({**METRICS, **KERAS_METRICS}[kind], name or kind)

    return make


if not TYPE_CHECKING:  # a type checker shall know what is there

    def __getattr__(name: str) -> object:
        if name in keras_names.METRICS:
            return named(keras_names.METRICS[name])
        return keras_names.elsewhere(
            "metrics", name, f"a metric is a function (B, y, outputs) or one of {', '.join([*METRICS, *KERAS_METRICS])}"
        )
