"""What `compile` makes of losses and metrics, and the values of a batch by their names."""

from __future__ import annotations

from typing import Any

import numpy as np

from impls.shim import heads
from impls.shim.backends.contract import Array
from impls.shim.losses import loss_function
from impls.shim.trained import Model


def judges(model: Model, loss: Any, metrics: Any, loss_weights: Any, weighted: Any) -> tuple[Any, ...]:
    """Loss, metrics and weighted metrics of one output, or the heads of several."""
    if model.outputs:
        first = len(model.input_names)
        layers = [model.plan[at - first].layer.name for at in model.outputs]
        outputs = list(zip(model.output_names, layers, model.output_shapes, strict=True))
        keyed = bool(model.output_keys)
        return None, (), (), heads.made(outputs, keyed, model.dtype, loss, loss_weights, metrics, weighted)
    if loss_weights is not None:
        raise ValueError("loss_weights are for models of several outputs")
    found, names = loss_function(loss), heads.listed(metrics)
    plain = heads.measured(names, found)
    return found, names, heads.measured(weighted, found, [name for name, _ in plain]), ()


def labels(model: Model) -> list[tuple[str, bool]]:
    """The names of the values of a batch, and whether a value is followed by what its weights sum up to."""
    if model.heads:
        return heads.labels(model.heads)
    plain = [(name, False) for name, _ in model.judged]
    weighted = [(name, True) for name, _ in model.weighted]
    return [("loss", False), *plain, *weighted]


def named(model: Model, values: Array, prefix: str) -> dict[str, float]:
    """The loss and the metrics, in their order, by their names; those of several outputs as Keras orders them."""
    left, found = [float(value) for value in np.atleast_1d(values)], {}
    for name, weighted in labels(model)[: len(left)]:  # a step of one's own may give the loss alone
        value = left.pop(0)
        found[prefix + name] = value / left.pop(0) if weighted else value
    if not model.heads:
        return found
    return {prefix + name: found[prefix + name] for name in heads.ordered(model.heads)}
