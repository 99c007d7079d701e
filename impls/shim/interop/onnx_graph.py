"""The graph of ONNX as a backend of the shim: what a layer asks it to compute, it writes down.

Images stay (N, H, W, C) outside of the image operations; the transpositions around them cancel in the runtime.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partialmethod
from typing import Any, ClassVar, TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper

from impls.shim import backends
from impls.shim.backends.contract import Array, Arrays, Cell, Columns, Constant, Function, Pair, Shape
from impls.shim.image_layers import convolved
from impls.shim.layers import Embedding
from impls.shim.model import Model

Sizes: TypeAlias = Sequence[int]  # one of each axis of a sequence or an image

OPSET = 17


def after_windows(x: Value, window: Sizes, stride: Sizes, dilation: Sizes, padding: str) -> list[int | None]:
    """How many places each axis of a sequence or an image has behind a convolution or a pooling."""
    like = "same" if padding == "causal" else padding
    axes = zip(x.shape[1:-1], window, stride, dilation, strict=False)
    return [convolved(*axis, like) for axis in axes]


def operation(operator: str) -> Function:
    """A method of `Value`: the node of that name."""
    return lambda self, *others: self.graph.node(operator, self, *others)


class Value:
    """A value of the graph: its name, and its shape as far as it is known."""

    __array_ufunc__ = None  # so that `ndarray * Value` asks the Value

    def __init__(self, graph: Graph, name: str, shape: Shape = ()) -> None:
        self.graph, self.name, self.shape = graph, name, shape

    def shaped(self, shape: Shape) -> Value:
        return Value(self.graph, self.name, shape)

    def __getitem__(self, index: Any) -> Value:
        """One place of the second axis, `[:, -1]`, or new axes behind some of the first, `[:, None]`."""
        if None in index:
            places = [at for at, each in enumerate(index) if each is None]
            shape = list(self.shape)
            for at in places:
                shape.insert(at, 1)
            return self.graph.node("Unsqueeze", self, np.array(places)).shaped(tuple(shape))
        row = self.graph.node("Gather", self, np.int64(index[1]), axis=1)
        return row.shaped((self.shape[0], *self.shape[2:]))

    def __rsub__(self, other: Array) -> Value:
        return self.graph.node("Sub", other, self)

    def __ne__(self, other: Array) -> Value:  # type: ignore[override]
        kind = np.int64 if self.name in self.graph.integers else self.graph.dtype
        return self.graph.node("Not", self.graph.node("Equal", self, np.asarray(other, kind)))

    __add__ = __radd__ = operation("Add")
    __mul__ = __rmul__ = operation("Mul")
    __sub__, __truediv__, __gt__, __neg__ = map(operation, ("Sub", "Div", "Greater", "Neg"))
    __and__, __or__ = operation("And"), operation("Or")
    __hash__ = object.__hash__


class Graph:
    """A backend of the shim for inference, whose arrays are names; weights are NumPy arrays until they are used."""

    NAME, IMAGE, LOOPS, LOOPED_TRAINING = "onnx", "NHWC", False, False
    ROLES: ClassVar[dict[str, tuple[int, ...]]] = {}

    def __init__(self, dtype: str, weights: Arrays | None = None) -> None:
        self.weights = weights or {}  # by name: a weight keeps its name in the file
        self.owners = {id(array): name for name, array in self.weights.items()}
        self.dtype, self.nodes, self.constants, self.inputs = dtype, [], [], []  # type: ignore[var-annotated]
        self.integers: set[str] = set()  # names of inputs that are numbers of rows
        self.RECURRENT = {"lstm": self.lstm, "gru": self.gru} if dtype == "float32" else {}

    def input(self, model: Model, at: int, name: str) -> Value:
        kind = np.int64 if isinstance(model.reader(at), Embedding) else np.dtype(self.dtype)
        shape = ["batch", *(f"{name}_{i}" if n is None else n for i, n in enumerate(model.input_shapes[at], 1))]
        info = helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)
        self.inputs.append(info)
        if kind == np.int64:
            self.integers.add(name)
        return Value(self, name, (None, *model.input_shapes[at]))

    def finish(self, y: Value) -> Array:
        self.nodes.append(helper.make_node("Identity", [y.name], ["outputs"]))
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        output = helper.make_tensor_value_info("outputs", kind, [None] * len(y.shape))
        graph = helper.make_graph(self.nodes, "shim", self.inputs, [output], self.constants)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(proto)
        return proto

    def named(self, value: Array, like: Array) -> str:
        """The name of a value; of a constant after it has been put into the graph."""
        if value is None:
            return ""
        if isinstance(value, Value):
            return value.name
        array = np.asarray(value, like)
        name = self.own_name(value) or f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def own_name(self, value: Array) -> str:
        """Of a weight, or of one in another order of axes, where it is put into the graph for the first time."""
        name = self.owners.get(id(value)) or self.owners.get(id(getattr(value, "base", None)), "")
        return "" if any(tensor.name == name for tensor in self.constants) else name

    def held(self, array: np.ndarray) -> Value:
        """A constant of its own type."""
        return Value(self, self.named(array, array.dtype), array.shape)

    def node(self, operator: str, *inputs: Array, output: int = 0, **attributes: object) -> Value:
        """One operation; numbers and weights among the inputs have the model's type, arrays of integers their own."""
        names = [self.named(i, None if getattr(i, "dtype", None) == np.int64 else self.dtype) for i in inputs]
        outputs = [f"{operator}{len(self.nodes)}" if at == output else "" for at in range(output + 1)]
        self.nodes.append(helper.make_node(operator, names, outputs, **attributes))
        shapes = [i.shape for i in inputs if isinstance(i, Value)]
        return Value(self, outputs[output], max(shapes, key=len, default=()))

    relu, sigmoid, tanh = partialmethod(node, "Relu"), partialmethod(node, "Sigmoid"), partialmethod(node, "Tanh")
    softplus, softmax = partialmethod(node, "Softplus"), partialmethod(node, "Softmax", axis=-1)
    abs, exp = partialmethod(node, "Abs"), partialmethod(node, "Exp")
    log, sqrt = partialmethod(node, "Log"), partialmethod(node, "Sqrt")
    where = partialmethod(node, "Where")

    def concatenate(self, *parts: Array) -> Value:
        joined = self.node("Concat", *parts, axis=-1)
        return joined.shaped((*parts[0].shape[:-1], sum(part.shape[-1] for part in parts)))

    def gelu(self, x: Array) -> Array:
        return 0.5 * x * (1 + self.node("Erf", x * 0.5**0.5))

    def gelu_tanh(self, x: Array) -> Array:
        return 0.5 * x * (1 + self.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * (x * x * x))))

    def reshape(self, x: Array, shape: Sequence[int | None]) -> Array:
        """An extent that is free stays what it is, which ONNX writes as 0."""
        if isinstance(x, np.ndarray):
            return x.reshape(shape)
        extents = [0 if extent is None else extent for extent in shape]
        return self.node("Reshape", x, np.array(extents, np.int64)).shaped((x.shape[0], *shape[1:]))

    @staticmethod
    def transpose(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
        """Of a weight."""
        return x.transpose(axes)

    @staticmethod
    def constant(held: Constant, like: Value) -> Array:
        return held.value

    def attention(self, q: Value, k: Value, v: Value, mask: Array | None, causal: bool, noise: Array | None) -> Value:
        """See `attention` of the NumPy backend."""
        heads, units = q.shape[2:]
        served = np.repeat(np.arange(k.shape[2]), heads // k.shape[2])  # which keys each head of queries looks at
        queries = self.node("Transpose", q * units**-0.5, perm=(0, 2, 1, 3))
        keys = self.node("Gather", self.node("Transpose", k, perm=(0, 2, 3, 1)), served, axis=1)
        values = self.node("Gather", self.node("Transpose", v, perm=(0, 2, 1, 3)), served, axis=1)
        scores = self.node("MatMul", queries, keys)  # (N, heads, T, S)
        seen = mask
        if causal:
            lower = self.node("Trilu", scores * 0.0 + 1.0, upper=0) > 0.5
            seen = lower if mask is None else lower & mask
        shares = self.softmax(scores if seen is None else self.where(seen, scores, np.array(-1e30)))
        if mask is not None:  # where a query sees nothing at all, its shares would be equal
            shares = self.where(seen, shares, np.array(0.0))
        mixed = self.node("Transpose", self.node("MatMul", shares, values), perm=(0, 2, 1, 3))
        return mixed.shaped((*q.shape[:3], v.shape[-1]))

    def flip(self, x: Array, axis: int) -> Value:
        begin, end = np.array([-1]), np.array([np.iinfo(np.int64).min])
        return self.node("Slice", x, begin, end, np.array([axis]), np.array([-1]))

    def split(self, x: Array, parts: int) -> list[Value]:
        size = x.shape[-1] // parts
        ranges = [(np.array([i * size]), np.array([(i + 1) * size])) for i in range(parts)]
        pieces = [self.node("Slice", x, start, end, np.array([-1])) for start, end in ranges]
        return [piece.shaped((*x.shape[:-1], size)) for piece in pieces]

    to_image = from_image = staticmethod(backends.same)

    def dense(self, x: Array, w: Array, b: Array | None = None) -> Value:
        y = self.node("MatMul", x, w).shaped((*x.shape[:-1], w.shape[-1]))
        return y if b is None else y + b

    def image(self, operator: str, x: Array, *inputs: Array, **attributes: Any) -> Value:
        """An operation on (N, C, ...), of sequences or images (N, ..., C)."""
        last = len(x.shape) - 1
        first = self.node("Transpose", x, perm=(0, last, *range(1, last)))
        return self.node(
            "Transpose", self.node(operator, first, *inputs, **attributes), perm=(0, *range(2, last + 1), 1)
        )

    def conv(
        self, x: Array, w: Array, b: Array, stride: Sizes, dilation: Sizes, padding: str, groups: int = 1
    ) -> Value:
        """Cross-correlation of (N, ..., C) with (window..., C, F); "causal" pads in front alone."""
        around = [(size - 1) * d for size, d in zip(w.shape, dilation, strict=False)]
        pads: dict[str, Any] = {"auto_pad": "SAME_UPPER" if padding == "same" else "VALID"}
        if padding == "causal":
            pads = {"pads": around + [0] * len(around)}
        elif padding == "same" and max(dilation) > 1:  # ONNX Runtime has no auto_pad here; the stride is 1
            pads = {"pads": [n // 2 for n in around] + [n - n // 2 for n in around]}
        *places, channels, filters = range(w.ndim)
        inputs = [w.transpose(filters, channels, *places)] + ([] if b is None else [b])
        y = self.image("Conv", x, *inputs, strides=stride, dilations=dilation, group=groups, **pads)
        return y.shaped((x.shape[0], *after_windows(x, w.shape, stride, dilation, padding), w.shape[-1]))

    conv2d = conv

    def depthwise_conv2d(self, x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Value:
        kernel = w.reshape(*w.shape[:2], 1, -1)  # (KH, KW, 1, C M)
        return self.conv2d(x, kernel, b, stride, dilation, padding, w.shape[2])

    def pool(self, operator: str, x: Array, window: Pair, stride: Pair, padding: str) -> Value:
        pads = "SAME_UPPER" if padding == "same" else "VALID"
        y = self.image(operator, x, kernel_shape=window, strides=stride, auto_pad=pads)
        return y.shaped((x.shape[0], *after_windows(x, window, stride, (1, 1), padding), x.shape[-1]))

    max_pool2d, average_pool2d = partialmethod(pool, "MaxPool"), partialmethod(pool, "AveragePool")

    def mean(self, x: Array, axis: Sequence[int] | int, keepdims: bool = False) -> Value:
        axes = [axis] if isinstance(axis, int) else list(axis)
        return self.node("ReduceMean", x, axes=axes, keepdims=int(keepdims))

    def rms_norm(self, x: Array, gamma: Array, epsilon: float) -> Array:
        return x / self.sqrt(self.mean(x * x, -1, keepdims=True) + epsilon) * gamma

    def scale_shift(self, x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
        """One node, with the running statistics as they are; in float64 written out, since its epsilon is a float32."""
        kept = (gamma, beta, mean, variance)
        if self.dtype == "float64":
            spread = self.node("Sqrt", self.node("Add", variance, epsilon))
            return ((x - mean) * self.node("Div", gamma, spread) + beta).shaped(x.shape)
        if len(x.shape) > 2:
            return self.image("BatchNormalization", x, *kept, epsilon=epsilon).shaped(x.shape)
        return self.node("BatchNormalization", x, *kept, epsilon=epsilon).shaped(x.shape)

    def layer_norm(self, x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
        centred = x - self.node("ReduceMean", x, axes=[-1], keepdims=1)
        variance = self.node("ReduceMean", centred * centred, axes=[-1], keepdims=1)
        return centred / self.sqrt(variance + epsilon) * gamma + beta

    def embedding(self, ids: Array, table: Array) -> Value:
        return self.node("Gather", table, ids).shaped((*ids.shape, table.shape[-1]))

    def recur(self, cell: Cell, columns: Columns, units: int, states: int, unroll: bool) -> Value:
        """Unrolled; the first states are one row of zeros, which broadcasts."""
        steps = columns[0].shape[1]
        if steps is None:
            raise ValueError(
                f"this recurrent layer can be exported with a fixed number of steps only, not {columns[0].shape}"
            )
        start = (np.zeros((1, units), self.dtype),) * states
        rows = ([column[:, t] for column in columns] for t in range(steps))

        def step(*row: Array) -> Array:
            return tuple(state.shaped((None, units)) for state in cell(*row))

        return self.node("Concat", *[state[:, None] for state in backends.straight(step, rows, start)], axis=1)

    def whole(self, operator: str, x: Array, w: Array, r: Array, b: Array, **attributes: Any) -> Value:
        """A recurrent operation on (T, N, inputs), from zeros: (T, 1, N, H) back to (N, T, H)."""
        rows = self.node("Transpose", x, perm=(1, 0, 2))
        y = self.node(operator, rows, w.T[None], r.T[None], b[None], hidden_size=len(r), **attributes)
        return self.node("Transpose", self.node("Squeeze", y, np.array([1])), perm=(1, 0, 2))

    def lstm(self, x: Array, kernel: Array, recurrent: Array, bias: Array, unroll: bool | None = None) -> Value:
        def turned(w: Array) -> Array:
            i, f, c, o = np.split(w, 4, -1)
            return np.concatenate([i, o, f, c], -1)  # ONNX's order

        b = np.concatenate([turned(bias), np.zeros_like(bias)])  # it has a second bias
        return self.whole("LSTM", x, turned(kernel), turned(recurrent), b)

    def gru(self, x: Array, kernel: Array, recurrent: Array, bias: Array, unroll: bool | None = None) -> Value:
        return self.whole("GRU", x, kernel, recurrent, bias.reshape(-1), linear_before_reset=1)
