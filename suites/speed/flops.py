"""Floating-point operations of a model by its specification: products of matrices and convolutions, nothing else.

A product of (m, k) and (k, n) takes 2 m k n. Backwards, each layer takes the same once for the gradient of its weights
and once for that of its input, which the first layer does not need. What a kind of layer takes is declared with it, in
`impls.layer_kinds`; one that is not declared there is an error, not nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from impls import MODELS
from impls.layer_kinds import kind_of

Shape = tuple[int, ...]


def specified(model: str, sizes: Mapping[str, Any], shape: Shape, batch: int, what: str) -> float:
    """Of one `train_step` or `predict` on `batch` examples of `shape`."""
    total = 0.0
    for at, layer in enumerate(MODELS[model].layers(**sizes)):
        own, shape = kind_of(layer).cost(layer, shape)
        backward = 2 if at > 0 else 1
        total += own * (1 + backward if what == "train_step" else 1)
    return total * batch
