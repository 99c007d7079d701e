"""Floating-point operations of a model by its specification: products of matrices and convolutions, nothing else.

A product of (m, k) and (k, n) takes 2 m k n. Backwards, each layer takes the same once for the gradient of its kernel
and once for that of its input, which the first layer does not need where the input is data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from impls import MODELS
from impls.specs import Layer

FIRST = ("dense", "conv2d", "lstm")  # behind an embedding they are not the first that need a gradient
STRIDED = {"conv2": 2}  # what the specification says of `cnn`: one stride of 2

Shape = tuple[int, ...]


def specified(model: str, sizes: Mapping[str, Any], shape: Shape, batch: int, what: str) -> float:
    """Of one `train_step` or `predict` on `batch` examples of `shape`."""
    layers = MODELS[model].layers(**sizes)
    total = 0.0
    for at, layer in enumerate(layers):
        own, shape = COSTS.get(layer.kind, _nothing)(layer, shape)
        backward = 1 + (at > 0 or layer.kind not in FIRST)
        total += own * (1 + backward if what == "train_step" else 1)
    return total * batch


def _nothing(layer: Layer, shape: Shape) -> tuple[float, Shape]:
    return 0.0, shape


def _dense(layer: Layer, shape: Shape) -> tuple[float, Shape]:
    inputs, units = layer.weights["kernel"]
    return 2.0 * prod(shape[:-1]) * inputs * units, (*shape[:-1], units)


def _conv2d(layer: Layer, shape: Shape) -> tuple[float, Shape]:
    height, width, _ = shape
    stride = STRIDED.get(layer.name, 1)
    found = -(-height // stride), -(-width // stride), layer.weights["kernel"][-1]
    return 2.0 * found[0] * found[1] * prod(layer.weights["kernel"]), found


def _maxpool2d(layer: Layer, shape: Shape) -> tuple[float, Shape]:
    height, width, channels = shape
    return 0.0, (height // 2, width // 2, channels)


def _embedding(layer: Layer, shape: Shape) -> tuple[float, Shape]:
    return 0.0, (*shape, layer.weights["embeddings"][-1])


def _lstm(layer: Layer, shape: Shape) -> tuple[float, Shape]:
    kernel, recurrent = layer.weights["kernel"], layer.weights["recurrent_kernel"]
    return 2.0 * shape[0] * (prod(kernel) + prod(recurrent)), (shape[0], recurrent[0])


def _flatten(layer: Layer, shape: Shape) -> tuple[float, Shape]:
    return 0.0, (prod(shape),)


COSTS: dict[str, Callable[[Layer, Shape], tuple[float, Shape]]] = {
    "dense": _dense,
    "conv2d": _conv2d,
    "maxpool2d": _maxpool2d,
    "flatten": _flatten,
    "embedding": _embedding,
    "lstm": _lstm,
}
