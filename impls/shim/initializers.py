"""Initial weights by their field names, drawn from one NumPy stream: every backend starts from the same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from impls.shim.config import looked_up

Draw: TypeAlias = Callable[[np.random.Generator, "tuple[int, ...]"], np.ndarray]
Initializer: TypeAlias = Draw | str  # or its name


def fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """Inputs and outputs of one unit: the receptive field times the channels on each side."""
    if len(shape) < 2:
        size = float(shape[0]) if shape else 1.0
        return size, size
    field = math.prod(shape[:-2])
    return float(field * shape[-2]), float(field * shape[-1])


def uniform(scale: Callable[[float, float], float]) -> Draw:
    """U(-a, a) with the variance that `scale` of the fans gives."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        limit = math.sqrt(3 * scale(*fans(shape)))
        return rng.uniform(-limit, limit, shape)

    return draw


def normal(scale: Callable[[float, float], float]) -> Draw:
    """N(0, s), cut at two deviations, with the variance that `scale` of the fans gives."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        values = rng.standard_normal(shape)
        while (far := np.abs(values) > 2).any():
            values[far] = rng.standard_normal(int(far.sum()))
        return values * math.sqrt(scale(*fans(shape))) / 0.87962566103423978  # the deviation after the cut

    return draw


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Saxe et al. (2014): orthonormal rows or columns of the flattened matrix."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (q if rows >= columns else q.T).reshape(shape)


INITIALIZERS: dict[str, Draw] = {
    "zeros": lambda rng, shape: np.zeros(shape),
    "ones": lambda rng, shape: np.ones(shape),
    "uniform": lambda rng, shape: rng.uniform(-0.05, 0.05, shape),
    "normal": lambda rng, shape: rng.normal(0.0, 0.05, shape),
    "glorot_uniform": uniform(lambda inputs, outputs: 2 / (inputs + outputs)),
    "glorot_normal": normal(lambda inputs, outputs: 2 / (inputs + outputs)),
    "he_uniform": uniform(lambda inputs, outputs: 2 / inputs),
    "he_normal": normal(lambda inputs, outputs: 2 / inputs),
    "lecun_uniform": uniform(lambda inputs, outputs: 1 / inputs),
    "lecun_normal": normal(lambda inputs, outputs: 1 / inputs),
    "orthogonal": orthogonal,
}
KERAS_NAMES = {"random_normal": "normal", "random_uniform": "uniform"}  # the same laws under a second name


def initializer(name: Initializer) -> Draw:
    """The draw called `name`; a function `(rng, shape)` is taken as it is."""
    return name if callable(name) else looked_up("initializer", KERAS_NAMES.get(name, name), INITIALIZERS)
