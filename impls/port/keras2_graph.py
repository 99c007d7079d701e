"""The graph that Keras 2 builds: its layers, and the operations of a pass, told to a trace. Valid on Python 3.6."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from impls import private_apis
from impls.port import vocabulary
from impls.port.keras_layers import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impls.port.annotations import Arrays, Described, Native, TwoGraphs
    from impls.port.recorder import Trace
    from impls.port_messages import Config, Operand

    Layers = list[tuple[str, Native]]  # by path

private_apis.check(__name__)

READS = ("ReadVariableOp", "Identity", "VariableV2", "VarHandleOp", "Variable")
UNSEEN = ("NoOp", "Assert", "Shape", "Pack", "StridedSlice", "Const", "Placeholder", "PlaceholderWithDefault")
TOLD = ("transpose_a", "transpose_b", "strides", "padding", "dilations", "ksize", "epsilon", "alpha", "keep_dims")
NAMES = {"keep_dims": "keepdim", "dilations": "dilation", "ksize": "window", "alpha": "slope"}
SECOND = {"Sum": "axis", "Mean": "axis", "Max": "axis", "Min": "axis", "Transpose": "axes", "Reshape": "shape",
          "ExpandDims": "axis", "Pad": "widths", "Tile": "counts"}  # fmt: skip


class Graph:
    """The operations of one pass, told to a trace from what was fetched."""

    def __init__(self, port: TwoGraphs, trace: Trace, mode: str, arrays: Arrays) -> None:
        self.trace = trace
        self.port = port
        self.model = port.models[mode]
        self.drops = port.drops[mode]
        self.arrays = arrays
        self.known: dict[str, Operand] = {}  # by the name of a tensor
        self.paths = {scope_of(layer): path for path, layer in layers_of(self.model)}

    def tell(self, ops: Sequence[tf.Operation], values: Sequence[np.ndarray]) -> None:
        for tensor, value in zip(self.model.inputs, values):
            self.known[tensor.name] = self.trace.operand(value)
        for weight in self.port.weights:
            for variable in self.port.both(weight):
                self.known[tensor_name(variable)] = {"weights": [weight.name]}
        for op in ops:
            self.tell_one(op)
        for tensor in self.model.outputs:
            self.trace.remember(self.arrays[tensor.name], self.operand(tensor))
        self.tell_dropouts()
        self.trace.calls_from_scopes(self.describe)

    def tell_one(self, op: tf.Operation) -> None:
        kept = [tensor for tensor in op.outputs if tensor.name in self.arrays]
        if op.type in READS and len(op.inputs) == 1 and "weights" in self.known.get(op.inputs[0].name, {}):
            self.known[op.outputs[0].name] = self.known[op.inputs[0].name]
            return
        if op.type == "Identity" and op.inputs[0].name in self.known:
            self.known[op.outputs[0].name] = self.known[op.inputs[0].name]
            return
        if not kept or op.type in UNSEEN:
            return
        self.trace.scope = self.scope(op)
        operands = [self.operand(tensor) for tensor in op.inputs]
        settings = attributes(op)
        if op.type in SECOND and len(operands) > 1 and "literal" in operands[1]:
            settings[SECOND[op.type]] = operands[1]["literal"]
        name = vocabulary.TENSORFLOW.get(op.type, op.type.lower())
        ids = self.trace.op(op.type, name, operands, settings, [self.arrays[tensor.name] for tensor in kept])
        for tensor, at in zip(kept, ids):
            self.known[tensor.name] = {"value": at}
        self.trace.scope = []

    def operand(self, tensor: tf.Tensor) -> Operand:
        if tensor.name in self.known:
            return self.known[tensor.name]
        constant = tf.get_static_value(tensor) if hasattr(tf, "get_static_value") else static_value(tensor)
        if constant is not None and np.asarray(constant).dtype.kind in "biuf":
            return {"literal": np.asarray(constant).tolist()}
        if tensor.name in self.arrays:
            return {"value": self.trace.value(self.arrays[tensor.name])}
        return {"literal": None}

    def scope(self, op: tf.Operation) -> list[str]:
        """The layers whose name scopes the operation is in."""
        parts = op.name.split("/")[:-1]
        return [self.paths[part] for part in parts if part in self.paths]

    def describe(self, path: str) -> Described | None:
        layer = next((layer for name, layer in layers_of(self.model) if name == path), None)
        if layer is None:
            return None
        kind, config = kind_of(layer)
        names = [weight.name for weight in self.port.weights if weight.layer == path]
        return kind, type(layer).__name__, config, names

    def tell_dropouts(self) -> None:
        if self.model is not self.port.models["training"]:
            return
        for tensor, rate in self.drops:
            known = self.known.get(tensor.name)
            if known is not None and rate:
                self.trace.dropout(rate, "elements", None, True, self.layer_of(tensor), known.get("value"))

    def layer_of(self, tensor: tf.Tensor) -> str:
        scope = self.scope(tensor.op)
        return scope[-1] if scope else ""


def layers_of(model: Native, prefix: str = "") -> Layers:
    """`(path, layer)` of every layer, those of a model inside a model too."""
    found = []
    for layer in model.layers:
        found.append((prefix + layer.name, layer))
        if hasattr(layer, "layers"):
            found += layers_of(layer, prefix + layer.name + "/")
    return canonical(found) if not prefix else found


def canonical(pairs: Layers) -> Layers:
    """Automatic names count on from graph to graph (dense_1, dense_3): here they count by class, from the first."""
    counts: dict[str, int] = {}
    found = []
    for path, layer in pairs:
        stem = layer.name.rstrip("0123456789").rstrip("_")
        automatic = stem.replace("_", "") == type(layer).__name__.lower()
        if automatic:
            counts[stem] = counts.get(stem, 0) + 1
            number = counts[stem]
            path = path[: len(path) - len(layer.name)] + (stem if number == 1 else f"{stem}_{number}")
        found.append((path, layer))
    return found


def scope_of(layer: Native) -> str:
    """The name that the graph gives a layer's operations in front; a second graph of one name counts on."""
    try:
        return layer.get_output_at(0).op.name.partition("/")[0]
    except (AttributeError, RuntimeError, IndexError):
        return layer.name


def own_weights(layer: Native) -> list[Native]:
    return [] if hasattr(layer, "layers") else list(layer.weights)


def kind_of(layer: Native) -> tuple[str, Config]:
    """`(kind, configuration)`."""
    for ancestor in type(layer).__mro__:
        if ancestor.__name__ in KINDS and "keras" in ancestor.__module__:
            kind, config = KINDS[ancestor.__name__]
            try:
                return kind, config(layer)
            except AttributeError:  # Keras 3 calls it otherwise
                return kind, {}
    return "custom" if own_weights(layer) else "module", {}


def tensor_name(variable: Native) -> str:
    """The name of the tensor that a graph reads a variable's value or handle by."""
    held: Native = getattr(variable, "handle", None)
    if held is None:
        held = getattr(variable, "_variable", variable)
    return held.name


def updates_of(model: Native, training: bool) -> list[Native]:
    """What a pass in training moves: running statistics."""
    if not training:
        return []
    found: list[Native] = []
    for _, layer in layers_of(model):
        updates = layer.updates
        found += updates if isinstance(updates, (list, tuple)) else []
    return list(OrderedDict((id(update), update) for update in found).values())


def between(first: Sequence[tf.Operation], last: Sequence[tf.Operation]) -> list[tf.Operation]:
    """The operations that lead to `last`, in an order in which each comes after what it reads; loops are left out."""
    seen, order, ends = set(), [], set(first)

    def visit(op: tf.Operation) -> None:
        waiting = [(op, False)]
        while waiting:
            here, done = waiting.pop()
            if done:
                order.append(here)
                continue
            if here in seen:
                continue
            seen.add(here)
            waiting.append((here, True))
            if here not in ends:
                waiting.extend((tensor.op, False) for tensor in here.inputs)

    for op in last:
        visit(op)
    return [op for op in order if op._get_control_flow_context() is None and op not in ends]


def is_number(tensor: tf.Tensor) -> bool:
    return tensor.dtype.base_dtype in (tf.float64, tf.float32, tf.int32, tf.int64, tf.bool)


def attributes(op: tf.Operation) -> Config:
    found = {}
    for name in TOLD:
        try:
            value = op.get_attr(name)
        except ValueError:
            continue
        if isinstance(value, bytes):
            value = value.decode()
        found[NAMES.get(name, name)] = list(value) if isinstance(value, (list, tuple)) else value
    return {name: value for name, value in found.items() if isinstance(value, (str, int, float, list, bool))}


def static_value(tensor: tf.Tensor) -> Native:
    from tensorflow.python.framework import tensor_util

    return tensor_util.constant_value(tensor)
