"""The arrays of a network: inputs, targets and weights, all numbers that float32 has, drawn from its seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from suites.campaign.generator import VERSION, Network
from suites.runner.workers import Arrays


def single(values: np.ndarray) -> np.ndarray:
    """The nearest float32 numbers, as float64."""
    return np.asarray(values, np.float32).astype(np.float64)


def fill(rng: np.random.Generator, kind: str, shape: Sequence[int]) -> np.ndarray:
    """An input of a kind: each is a place where kernels are known to go wrong."""
    x = rng.normal(size=tuple(shape))
    if kind == "ties":
        x = np.round(x)
    elif kind == "zeros":
        x = x * (rng.random(x.shape) < 0.3)
    elif kind == "large_mean":
        x = 100 + 0.1 * x
    elif kind == "tiny_variance":
        x = 1 + 2.0**-10 * x
    elif kind == "saturated":
        x = 30 * x
    elif kind == "huge":
        x = 1e4 * x
    elif kind == "tiny":
        x = 1e-6 * x
    elif kind == "equal":
        x = np.full(x.shape, 0.75)
    elif kind == "mixed":
        x = x * 10.0 ** rng.integers(-4, 4, x.shape)
    return single(x)


def weight(rng: np.random.Generator, name: str, shape: Sequence[int], kind: str) -> np.ndarray:
    """A weight, or a running statistic, of a size that keeps signals about as large as they come in."""
    short = name.rpartition("/")[2]
    if short == "moving_variance":
        return single(rng.uniform(0.5, 1.5, tuple(shape)))
    if short == "gamma":
        return single(1 + 0.3 * rng.normal(size=tuple(shape)))
    fan = int(np.prod(shape[:-1])) if len(shape) > 1 else 4
    scale = {"small": 1e-3, "large": 4.0}.get(kind, 1.0) / np.sqrt(max(fan, 1))
    values = scale * rng.normal(size=tuple(shape))
    if kind == "equal_units" and short == "kernel" and shape[-1] > 1:
        values[..., 1] = values[..., 0]
    return single(values)


def arrays(network: Network, weights: Mapping[str, Sequence[int]], output: Sequence[int]) -> Arrays:
    """`x<i>`, `y` and `weight/<name>`; `weights` are shapes by name, `output` is the shape of one output."""
    found: Arrays = {}
    for at, each in enumerate(network.inputs):
        rng = np.random.default_rng([VERSION, network.seed, 1, at])
        extents = (network.batch, *each["shape"])
        found[f"x{at}"] = rng.integers(0, each["ids"], extents) if each["ids"] else fill(rng, each["fill"], extents)
    rng = np.random.default_rng([VERSION, network.seed, 2])
    found["y"] = targets(rng, network.loss, (network.batch, *output))
    for name, shape in weights.items():
        stream = np.random.default_rng([VERSION, network.seed, 3, *name.encode()])
        found[f"weight/{name}"] = weight(stream, name, shape, network.weights)
    return found


def targets(rng: np.random.Generator, loss: str, shape: Sequence[int]) -> np.ndarray:
    """What a loss compares with an output of this shape."""
    if loss == "softmax_cross_entropy":
        return rng.integers(0, shape[-1], tuple(shape[:-1]))
    if loss == "sigmoid_cross_entropy":
        return rng.integers(0, 2, tuple(shape)).astype(np.float64)
    return single(rng.normal(size=tuple(shape)))
