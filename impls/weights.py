"""Canonical weights: one draw of NumPy arrays that every implementation of a model starts from.

Names are `layer/weight`, layouts are Keras's. Every bias is non-zero, and so is every running statistic,
because a zero hides a transposed, dropped or doubled term. Valid on Python 3.6.
"""

import zlib
from typing import Callable, Dict, Tuple

import numpy as np

from impls.specs import Layer, Shape

Draw = Callable[[np.random.RandomState, Shape], np.ndarray]


def _glorot_uniform(rng: np.random.RandomState, shape: Shape) -> np.ndarray:
    """Glorot and Bengio (2010), equation 16: U(-a, a) with a = sqrt(6 / (fan_in + fan_out))."""
    receptive = int(np.prod(shape[:-2]))
    limit = np.sqrt(6.0 / (receptive * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape)


DRAWS = {
    "kernel": _glorot_uniform,
    "recurrent_kernel": _glorot_uniform,
    "embeddings": lambda rng, shape: rng.uniform(-0.5, 0.5, shape),
    "bias": lambda rng, shape: rng.uniform(0.02, 0.1, shape) * rng.choice([-1.0, 1.0], shape),
    "gamma": lambda rng, shape: rng.uniform(0.8, 1.2, shape),
    "beta": lambda rng, shape: rng.uniform(0.02, 0.1, shape) * rng.choice([-1.0, 1.0], shape),
    "moving_mean": lambda rng, shape: rng.uniform(-0.1, 0.1, shape),
    "moving_variance": lambda rng, shape: rng.uniform(0.5, 1.5, shape),
}  # type: Dict[str, Draw]


def canonical(layers: Tuple[Layer, ...], seed: int = 0) -> Dict[str, np.ndarray]:
    """`{"layer/weight": float64 array}` for every weight and state of `layers`.

    Each array has a stream of its own, so that adding a layer leaves the others as they were. Values are
    representable in float32: float32 and float64 runs start from the same numbers.
    """
    weights = {}
    for layer in layers:
        for name, shape in list(layer.weights.items()) + list(layer.state.items()):
            key = layer.name + "/" + name
            rng = np.random.RandomState((zlib.crc32(key.encode()) + seed) % 2**32)
            role = name.rpartition("/")[2]
            if role not in DRAWS:
                raise ValueError(
                    "weight {!r}: no first values are known for one called {!r}: add them to DRAWS in impls/weights.py "
                    "(known are {})".format(key, role, ", ".join(DRAWS))
                )
            weights[key] = DRAWS[role](rng, shape).astype(np.float32).astype(np.float64)
    return weights


def trainable(layers: Tuple[Layer, ...]) -> Tuple[str, ...]:
    """Names of the weights that the optimizer updates, in layer order."""
    return tuple(layer.name + "/" + name for layer in layers for name in layer.weights)


def state(layers: Tuple[Layer, ...]) -> Tuple[str, ...]:
    """Names of the running statistics, in layer order."""
    return tuple(layer.name + "/" + name for layer in layers for name in layer.state)
