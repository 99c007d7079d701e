"""Activations by their formulas. At a kink the side is chosen by the real part, which settles the gradient there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

Array = Any  # of NumPy, of real or complex numbers


def relu(x: Array) -> Array:
    """max(x, 0); the slope at 0 is 0."""
    return np.where(x.real > 0, x, 0 * x)


def absolute(x: Array) -> Array:
    """|x|; the slope at 0 is 0."""
    return x * np.sign(x.real)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), by the exponential that does not overflow."""
    decays = np.exp(np.where(x.real >= 0, -x, x))
    return np.where(x.real >= 0, 1 / (1 + decays), decays / (1 + decays))


def softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    positive = x.real > 0
    return np.where(positive, x, 0 * x) + np.log1p(np.exp(np.where(positive, -x, x)))


def softmax(x: Array) -> Array:
    """Over the last axis."""
    e = np.exp(x - x.real.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gelu(x: Array) -> Array:
    """x P(X <= x), X standard normal: Hendrycks and Gimpel (2016)."""
    return x * 0.5 * (1 + special.erf(x / np.sqrt(2.0)))


def gelu_tanh(x: Array) -> Array:
    """The approximation of the same paper."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def swish(x: Array) -> Array:
    """x sigmoid(x): Ramachandran et al. (2017)."""
    return x * sigmoid(x)


def leaky_relu(x: Array) -> Array:
    """Keras 3's slope of 0.2, also at 0."""
    return np.where(x.real > 0, x, 0.2 * x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softmax": softmax,
    "softplus": softplus,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "swish": swish,
    "leaky_relu": leaky_relu,
}


def activated(name: str | None, x: Array) -> Array:
    """`x` under the activation called `name`; None: as it is."""
    return x if name is None else ACTIVATIONS[name](x)
