"""Losses: each a scalar, the mean over the examples (and places) of a batch, optionally weighted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from impls.shim.config import looked_up

Loss = Callable[..., Any]


def average(B: Any, losses: Any, w: Any) -> Any:
    """The sum of weighted losses over their number, as Keras has it: the weights do not divide.

    A weight is one of an example, (N,), or of each of its places, (N, T).
    """
    if w is None:
        return B.mean(losses)
    missing = len(losses.shape) - len(w.shape)
    return B.mean(losses * (B.reshape(w, (-1, *w.shape[1:], *(1,) * missing)) if missing else w))


def kept(B: Any, mask: Any, dtype: str) -> Any:
    """Weights (N, T) that make a mean one over the places where the mask is true; Keras's epsilon is in it."""
    true = B.cast(mask, dtype)
    return true * (math.prod(mask.shape) / (B.sum(true) + 1e-7))


def times(B: Any, w: Any, places: Any) -> Any:
    """Weights of examples or places, times those of places."""
    return places if w is None else (w if len(w.shape) == 2 else B.reshape(w, (-1, 1))) * places


def softmax_cross_entropy(B: Any, y: Any, logits: Any, w: Any = None) -> Any:
    """Labels (B, ...) as integers against logits (B, ..., classes)."""
    losses = B.softmax_cross_entropy(logits, y, w is None)
    return losses if w is None else average(B, losses, w)


def sigmoid_cross_entropy(B: Any, y: Any, logits: Any, w: Any = None) -> Any:
    """Labels in [0, 1] against logits of the same shape."""
    losses = B.sigmoid_cross_entropy(logits, y, w is None)
    return losses if w is None else average(B, losses, w)


def mean_squared_error(B: Any, y: Any, outputs: Any, w: Any = None) -> Any:
    error = outputs - y
    return average(B, error * error, w)


def mean_absolute_error(B: Any, y: Any, outputs: Any, w: Any = None) -> Any:
    return average(B, B.abs(outputs - y), w)


def huber(B: Any, y: Any, outputs: Any, w: Any = None) -> Any:
    """Huber (1964) with delta 1: half the square near zero, linear beyond."""
    size = B.abs(outputs - y)
    return average(B, B.where(size <= 1, 0.5 * size * size, size - 0.5), w)


LOSSES: dict[str, Loss] = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "sigmoid_cross_entropy": sigmoid_cross_entropy,
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "huber": huber,
}


def loss_function(name: Any) -> Loss:
    """The loss called `name`; a function `(B, y, outputs, w)` is taken as it is."""
    return name if callable(name) else looked_up("loss", name, LOSSES)  # type: ignore[no-any-return]
