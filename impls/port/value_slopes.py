"""The gradient of the loss in every value of a watched pass; or of some values, weighted, in all values before them.

What engines differentiate is what a user wrote, with gradients that they wrote themselves and with what they stopped.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from impls.port.errors import UserError
from impls.port.random_draws import Draws

if TYPE_CHECKING:
    from impls.port.annotations import Arrays, Function, Native
    from impls.port.base import Port
    from impls.port.recorder import Trace

    Slopes = dict[int, Native]
    Leaves = list[tuple[str, Native]]


def record(port: Port, inputs: Arrays, labels: np.ndarray | None, mode: str, seeds: dict[int, np.ndarray]) -> Arrays:
    """The slopes by the ids of values. `seeds`: of these values, each times its array, in the place of the loss."""
    if labels is None or port.backend not in ENGINES:
        raise UserError("has no loss that can be followed back")
    trace = port.begin(mode, 0)
    trace.natives = {}
    try:
        found = ENGINES[port.backend](port, trace, inputs, port.native(labels), seeds, mode == "training")
    finally:
        port.trace = None
    return {str(at): np.array(port.numpy(slope)) for at, slope in found.items() if slope is not None}


def of_loss(port: Port, inputs: Arrays, labels: np.ndarray | None) -> Arrays:
    """The gradient of the loss in each output, by leaf, as if nothing else depended on it."""
    if labels is None or port.backend not in LOSSES or not port.has_loss():
        raise UserError("has no loss that can be followed back")
    port.load()
    port.draws = Draws()
    port.evaluating = False
    output = LOSSES[port.backend](port, inputs, port.native(labels))
    return {path: np.array(port.numpy(slope)) for path, slope in output if slope is not None}


def loss_on_torch(port: Port, inputs: Arrays, y: Native) -> Leaves:
    import torch

    with torch.no_grad():
        output = port.call(*port.arrange(inputs), port.has_training_mode())
    leaves = port.leaves(output)
    floating = [tensor.requires_grad_() for _, tensor in leaves if tensor.is_floating_point()]  # views, parameters too
    with torch.enable_grad():
        found = torch.autograd.grad(port.loss(output, y), floating, allow_unused=True)
    names = [path for path, tensor in leaves if tensor.is_floating_point()]
    zeros = [
        torch.zeros_like(tensor) if slope is None else slope for tensor, slope in zip(floating, found, strict=True)
    ]
    return list(zip(names, zeros, strict=True))


def loss_on_tensorflow(port: Port, inputs: Arrays, y: Native) -> Leaves:
    import tensorflow as tf

    output = port.call(*port.arrange(inputs), port.has_training_mode())
    leaves = [(path, tensor) for path, tensor in port.leaves(output) if tensor.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch([tensor for _, tensor in leaves])
        loss = port.loss(output, y)
    found = tape.gradient(loss, [tensor for _, tensor in leaves], unconnected_gradients="zero")
    return [(path, tf.convert_to_tensor(slope)) for (path, _), slope in zip(leaves, found, strict=True)]


def loss_on_jax(port: Port, inputs: Arrays, y: Native) -> Leaves:
    import jax

    output = port.call(*port.arrange(inputs), port.has_training_mode())
    found = jax.grad(lambda given: port.loss(given, y), allow_int=True)(output)
    return [
        (path, slope) for path, slope in port.leaves(found) if jax.numpy.issubdtype(slope.dtype, jax.numpy.floating)
    ]


def end(port: Port, output: Native, y: Native, values: Slopes, seeds: dict[int, np.ndarray]) -> Native:
    """What is differentiated."""
    if not seeds:
        return port.loss(output, y)
    parts = [(values[at] * port.native(seed)).sum() for at, seed in seeds.items()]
    return sum(parts[1:], parts[0])


def on_torch(
    port: Port, trace: Trace, inputs: Arrays, y: Native, seeds: dict[int, np.ndarray], training: bool
) -> Slopes:
    import torch

    torch_port: Native = port
    torch_port.differentiating = True
    try:
        with torch.enable_grad():
            output = port.call(*port.arrange(inputs), training)
            port.trace = None
            values = last_of_each(trace)
            target = end(port, output, y, values, seeds)
    finally:
        torch_port.differentiating = False
    asked = {at: tensor for at, tensor in values.items() if tensor.requires_grad}
    found = torch.autograd.grad(target, list(asked.values()), allow_unused=True)
    return dict(zip(asked, found, strict=True))


def on_tensorflow(
    port: Port, trace: Trace, inputs: Arrays, y: Native, seeds: dict[int, np.ndarray], training: bool
) -> Slopes:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        for params in getattr(port, "params", {}).values():
            tape.watch(params)
        output = port.call(*port.arrange(inputs), training)
        port.trace = None
        values = {at: tensor for at, tensor in last_of_each(trace).items() if tensor.dtype.is_floating}
        target = tf.reduce_sum(sum_of(port, values, seeds)) if seeds else port.loss(output, y)
    found = tape.gradient(target, list(values.values()))
    return {at: tf.convert_to_tensor(slope) for at, slope in zip(values, found, strict=True) if slope is not None}


def sum_of(port: Port, values: Slopes, seeds: dict[int, np.ndarray]) -> Native:
    import tensorflow as tf

    return tf.add_n([tf.reduce_sum(values[at] * port.native(seed)) for at, seed in seeds.items()])


def on_jax(port: Port, trace: Trace, inputs: Arrays, y: Native, seeds: dict[int, np.ndarray], training: bool) -> Slopes:
    from impls.port import jax_slopes

    trace.follow = functools.partial(jax_slopes.slopes, lambda output, values: end(port, output, y, values, seeds))
    port.call(*port.arrange(inputs), training)
    return trace.slopes


def last_of_each(trace: Trace) -> Slopes:
    """The tensors by the ids of values; one that was written to in place is its last value."""
    assert trace.natives is not None
    last = {id(tensor): at for at, tensor in trace.natives.items()}
    return {at: tensor for at, tensor in trace.natives.items() if last[id(tensor)] == at}


LOSSES: dict[str, Function] = {"torch": loss_on_torch, "tensorflow": loss_on_tensorflow, "jax": loss_on_jax}
ENGINES: dict[str, Function] = {"torch": on_torch, "tensorflow": on_tensorflow, "jax": on_jax}
