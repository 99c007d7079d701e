"""A user's loss, watched alone: what goes in is what the model gives; its operations are a pass of their own."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from impls.port.errors import UserError
from impls.port.random_draws import Draws

if TYPE_CHECKING:
    from typing import Any

    from impls.port.annotations import Arrays, Function, Native
    from impls.port.base import Port
    from impls.port.recorder import Trace


def record(
    port: Port, inputs: Arrays, labels: np.ndarray | None, keep: int, overrides: dict[int, np.ndarray] | None
) -> tuple[dict[str, Any], Arrays, Arrays]:
    """As `Port.record`: `(body, arrays by value id, {"loss": number})`."""
    if labels is None or not port.has_loss() or port.backend not in WATCHED:
        raise UserError("has no loss that can be watched")
    port.load()
    port.draws = Draws()
    port.evaluating = False
    output = port.call(*port.arrange(inputs), port.has_training_mode())
    y = port.native(labels)
    port.trace = trace = port.new_trace(keep)
    port.overrides = trace.overrides = overrides or {}
    try:
        given = {path: trace.value(tensor) for path, tensor in port.leaves(output)}
        given["the labels"] = trace.value(y)
        loss = WATCHED[port.backend](port, trace, port.loss, (output, y))
        found = OrderedDict(loss=np.array(port.numpy(loss)))
        at = trace.operand(loss).get("value")
    finally:
        port.trace = None
        port.overrides = {}
    body, values = trace.message()
    return dict(body, mode="loss", inputs=given, outputs={"loss": at}), values, found


def on_torch(port: Port, trace: Trace, function: Function, given: tuple[Native, ...]) -> Native:
    from impls.port import torch_recorder

    with torch_recorder.Functions(port.watching()):
        return function(*given)


def on_tensorflow(port: Port, trace: Trace, function: Function, given: tuple[Native, ...]) -> Native:
    from impls.port import tensorflow_recorder

    with tensorflow_recorder.recording(trace, port.overridden):
        return function(*given)


def on_jax(port: Port, trace: Trace, function: Function, given: tuple[Native, ...]) -> Native:
    from impls.port import jax_recorder

    return jax_recorder.record(trace, lambda weights, *rest: function(*rest), {}, given, port.overrides)


WATCHED = {"torch": on_torch, "tensorflow": on_tensorflow, "jax": on_jax}
