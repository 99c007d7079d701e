"""Losses and metrics by their formulas, a value for each example and place, and the mean that Keras takes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from suites.references.activations import absolute, softplus

Array = Any  # of NumPy, of real or complex numbers
EPSILON = 1e-7  # Keras adds it to the number of the places that a mask keeps


def softmax_cross_entropy(y: Array, z: Array) -> Array:
    """-log softmax(z)[y], or -sum(y log softmax(z)) of shares of the classes."""
    z = z - z.real.max(-1, keepdims=True)
    if y.ndim == z.ndim:
        return np.asarray((y * (np.log(np.exp(z).sum(-1, keepdims=True)) - z)).sum(-1))
    chosen = np.take_along_axis(z, y[..., None].astype(int), -1)[..., 0]
    return np.asarray(np.log(np.exp(z).sum(-1)) - chosen)


def sigmoid_cross_entropy(y: Array, z: Array) -> Array:
    """-y log p - (1 - y) log(1 - p), p the sigmoid of z."""
    return np.asarray(y * softplus(-z) + (1 - y) * softplus(z))


def squared_error(y: Array, z: Array) -> Array:
    return np.asarray((z - y) ** 2)


def absolute_error(y: Array, z: Array) -> Array:
    return absolute(z - y)


def huber(y: Array, z: Array) -> Array:
    """Huber (1964), delta 1."""
    size = absolute(z - y)
    return np.where(size.real <= 1, size**2 / 2, size - 0.5)


LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "sigmoid_cross_entropy": sigmoid_cross_entropy,
    "mean_squared_error": squared_error,
    "mean_absolute_error": absolute_error,
    "huber": huber,
}


def accuracy(y: Array, z: Array) -> Array:
    """Labels against the first largest output; labels in the outputs' shape, above a half against the sign of z."""
    if y.ndim == z.ndim:
        return np.asarray((z > 0) == (y > 0.5), float)
    return np.asarray(z.argmax(-1) == y, float)


def accuracy_by_shape(y: Array, z: Array) -> Array:
    """Keras's: of one number whether it is above one half, of several which is the first largest."""
    if z.shape[-1] == 1:
        return np.asarray((z > 0.5) == y, float)
    return np.asarray(z.argmax(-1) == (y.argmax(-1) if y.ndim == z.ndim else y), float)


METRICS: dict[str, Callable[[Array, Array], Array]] = {
    "accuracy": accuracy,
    "mean_absolute_error": lambda y, z: np.abs(z - y),
    "mean_squared_error": squared_error,
}


def metric(name: str, loss: str) -> Callable[[Array, Array], Array]:
    """The metric of that name beside a loss: an accuracy goes by logits beside a cross-entropy of them."""
    return accuracy_by_shape if name == "accuracy" and "entropy" not in loss else METRICS[name]


def mean(values: Array, weights: Array | None = None, mask: Array | None = None) -> Array:
    """The sum over the number of values; with a mask, over that of the places it keeps. Weights do not divide."""
    for each in (weights, mask):
        if each is not None:
            values = values * each.reshape(each.shape + (1,) * (values.ndim - each.ndim))
    if mask is None:
        return np.asarray(values.sum() / values.size)
    beyond = math.prod(values.shape[mask.ndim :])
    return np.asarray(values.sum() / beyond / (mask.sum() + EPSILON))
