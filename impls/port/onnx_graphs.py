"""An ONNX model as a side: its initializers are the weights, its nodes run one by one in ONNX's own reference."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from impls.port import vocabulary
from impls.port.base import Port
from impls.port.errors import UserError, in_one_line
from impls.port.low_precision import is_float64, working_type
from impls.port.onnx_files import feed, in_float64, read, whole
from impls.port.onnx_layers import NAMES, config_of, kind_of, place_of, settings
from impls.port.onnx_operations import evaluator
from impls.port.onnx_weights import Found, Gate
from impls.port.recorder import Trace

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    import onnx
    from onnx.reference.op_run import OpRun

    from impls.port.annotations import Args, Key, Kwargs, Native, Natives, Shapes
    from impls.port.weight import Weight
    from impls.port_messages import Operand

SHAPES = ("Shape", "Size", "Constant", "ConstantOfShape")
FREE = ("MatMul", "Gemm", "Gather")  # without a weight they are no layer
NO_TRAINING = "an ONNX file holds the forward pass of inference alone"


def program_of(path: str) -> SimpleNamespace:
    """What stands for the program of a user where the model is a file of ONNX."""
    return SimpleNamespace(build=lambda: read(path), __file__=os.path.abspath(path))


class PortOfOnnx(Port):
    channels_first = True
    api = "onnx"

    def build(self) -> Native:
        model = super().build()
        if type(model).__name__ != "ModelProto":
            raise UserError(f"build() has to return an onnx.ModelProto, it returned {type(model).__name__}")
        whole(model)
        if not is_float64():
            raise UserError(f"an ONNX graph runs in ONNX's own reference, in float64 and not in {working_type()}")
        self.no_gradients = NO_TRAINING
        made = in_float64(model)
        self.found = Found(made.graph)
        self.arrays = self.found.arrays
        names = set(self.arrays)
        self.inputs = [value for value in made.graph.input if value.name not in names]
        self.outputs = [value.name for value in made.graph.output]
        self.nodes = made.graph.node
        self.evaluator = evaluator(made)
        self.still = still(self.nodes, self.found.constants())
        return made

    def has_training_mode(self) -> bool:
        return False

    def has_loss(self) -> bool:
        return False

    def find_weights(self) -> list[Weight]:
        return self.found.find()

    def parameters_of_call(self) -> tuple[str, ...]:
        return tuple(value.name for value in self.inputs)

    def native(self, array: np.ndarray) -> Native:
        return np.asarray(array, np.float64) if array.dtype.kind == "f" else np.asarray(array)

    def numpy(self, native: Native) -> np.ndarray:
        if isinstance(native, Gate):
            return self.arrays[native.name][native.direction]
        return self.arrays[native] if isinstance(native, str) else np.asarray(native)

    def is_tensor(self, value: Native) -> bool:
        return isinstance(value, np.ndarray)

    def assign(self, tensor: Native, array: np.ndarray) -> None:
        if isinstance(tensor, Gate):
            self.arrays[tensor.name] = np.array(self.arrays[tensor.name])
            self.arrays[tensor.name][tensor.direction] = array
            return
        self.arrays[tensor] = np.array(np.asarray(array, np.float64).reshape(self.arrays[tensor].shape))

    def identities(self, weight: Weight) -> list[Key]:
        tensors = weight.tensors
        return [id(self.arrays[t.name if isinstance(t, Gate) else t]) for t in tensors]

    def new_trace(self, keep: int) -> Trace:
        return Trace(np.asarray, self.files, keep)

    def call(self, args: Args, kwargs: Kwargs, training: bool) -> Native:
        given = dict(kwargs)
        free = [value.name for value in self.inputs if value.name not in given]
        if len(args) > len(free):
            raise ValueError(f"takes {len(self.inputs)} inputs, {', '.join(self.parameters_of_call())}")
        given.update(zip(free, args, strict=False))
        results = {"": None, **self.arrays}
        for value in self.inputs:
            if value.name not in given:
                raise ValueError(f"input {value.name!r} is not among the data")
            results[value.name] = self.fed(given[value.name], value)
        for node, runner in zip(self.nodes, self.evaluator.rt_nodes_, strict=True):
            self.one(node, runner, results)
        found = tuple(np.asarray(results[name]) for name in self.outputs)
        return found[0] if len(found) == 1 else found

    def fed(self, array: np.ndarray, value: onnx.ValueInfoProto) -> np.ndarray:
        """An input in its declared type; it stays what the trace knows of it."""
        made = feed(array, value)
        if self.trace is not None and made is not array:
            self.trace.remember(made, self.trace.operand(array))
        return made

    def one(self, node: onnx.NodeProto, runner: OpRun, results: Natives) -> None:
        """One node: its outputs into `results`, and into the trace."""
        given = [results[name] for name in node.input]
        quiet = node.output[0] in self.still
        operands = []
        if self.trace is not None and not quiet:
            operands = [self.trace.operand(x) for x in given if tensor(x)]
        extra = {"context": results} if runner.need_context() else {}
        try:
            with np.errstate(all="ignore"):
                outputs = list(runner.run(*given, **extra))
        except NotImplementedError as error:
            raise UserError(f"node {node.name or node.output[0]!r} ({node.op_type}): {in_one_line(error)}") from None
        if not quiet:
            outputs = [self.disturbed(node, given, array) for array in outputs]
            if self.trace is not None:
                outputs = self.told(self.trace, node, operands, given, outputs)
        results.update(zip(node.output, outputs, strict=False))

    def disturbed(self, node: onnx.NodeProto, given: Sequence[Native], array: Native) -> Native:
        """An output with errors in it, where there is noise and the operation rounds."""
        rounds = NAMES.get(node.op_type) not in vocabulary.MOVES
        if self.noise is None or not rounds or not tensor(array) or array.dtype.kind != "f" or not np.size(array):
            return array
        sizes = [np.size(x) for x in given[:1] if tensor(x)]
        return array * self.factor(np.shape(array), max(np.size(array), *sizes))

    def told(
        self,
        trace: Trace,
        node: onnx.NodeProto,
        operands: list[Operand],
        given: Sequence[Native],
        outputs: list[Native],
    ) -> list[Native]:
        """The operation, and the layer that it is, as the trace takes them."""
        seen = [np.asarray(array) for array in outputs if tensor(array)]
        if not seen:
            return outputs
        shapes = {name: np.shape(x) for name, x in zip(node.input, given, strict=True) if name in self.arrays}
        kind, path = self.layer_of(node, shapes), self.path_of(node)
        names = [name for operand in operands for name in operand.get("weights", [])]
        first = trace.enter(path) if kind else 0
        name = NAMES.get(node.op_type, node.op_type.lower())
        ids = trace.op(node.op_type, name, operands, settings(node, operands), seen)
        trace.ops[-1]["line"] = ""
        if kind:
            config = config_of(node, kind, shapes.get(node.input[1]) if len(node.input) > 1 else None)
            trace.leave(path, first, kind, config, names, operands, seen[:1], node.op_type)
        if len(seen) == 1 and len(outputs) == 1:
            return [np.asarray(self.overridden(ids, outputs, seen[0]))]
        return [np.asarray(array) if tensor(array) else array for array in outputs]

    def layer_of(self, node: onnx.NodeProto, shapes: Shapes) -> str | None:
        """The kind of layer that a node is; None for a product of values, or rows of one."""
        weighed = any(name in self.arrays or name in self.found.turned for name in node.input)
        return kind_of(node, shapes) if weighed or node.op_type not in FREE else None

    def path_of(self, node: onnx.NodeProto) -> str:
        """The layer of the weights that a node reads; else its own name."""
        names = set(node.input)
        for weight in self.weights:
            keys = {t.name if isinstance(t, Gate) else t for t in weight.tensors}
            if keys & names or any(self.found.turned.get(name, ("",))[0] in keys for name in names):
                return weight.layer
        return place_of(node)


def tensor(value: Native) -> bool:
    return isinstance(value, (np.ndarray, np.generic))


def still(nodes: Sequence[onnx.NodeProto], constants: Container[str]) -> set[str]:
    """Names of what no number of an input and no weight decides: shapes, and what is computed from them alone."""
    found = set()
    for node in nodes:
        if node.op_type in SHAPES or all(name in found or name in constants for name in node.input if name):
            found.update(node.output)
    return found
