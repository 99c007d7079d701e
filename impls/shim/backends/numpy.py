"""NumPy: the reference in float64, with gradients by a small tape and no framework installed.

`contract` says what each function does.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Sequence

import numpy as np

from impls.shim import backends
from impls.shim.backends import numpy_kernels
from impls.shim.backends.contract import Array, Axes, Carry, Cell, Columns, Constant, Function, Fused, WholeLayer
from impls.shim.backends.numpy_autodiff import Gradients, Primitive, bare, elementwise, gradients, primitive

NAME = "numpy"
MODES: tuple[str, ...] = ("eager",)
GPU_MODES: tuple[str, ...] = ()
IMAGE = "NHWC"
HALVES: tuple[str, ...] = ("float16",)
LOOPS, LOOPED_TRAINING = False, False
ROLES: dict[str, tuple[int, ...]] = {}

zeros_like, ones_like = np.zeros_like, np.ones_like
where = elementwise(np.where, lambda c, a, b, y: 0.0, lambda c, a, b, y: c, lambda c, a, b, y: np.logical_not(c))
all_zeros = backends.one_by_one(zeros_like)
abs = elementwise(np.abs, lambda x, y: np.sign(x))
exp = elementwise(np.exp, lambda x, y: y)
log = elementwise(np.log, lambda x, y: 1 / x)
sqrt = elementwise(np.sqrt, lambda x, y: 0.5 / y)
tanh = elementwise(np.tanh, lambda x, y: 1 - y * y)
sigmoid = elementwise(numpy_kernels.logistic, lambda x, y: y * (1 - y))
relu = elementwise(lambda x: np.maximum(x, 0), lambda x, y: x > 0)
softplus = elementwise(lambda x: np.logaddexp(x, 0), lambda x, y: numpy_kernels.logistic(x))
gelu = elementwise(lambda x: x * numpy_kernels.normal_cdf(x), numpy_kernels.gelu_slope)
gelu_tanh = elementwise(lambda x: 0.5 * x * (1 + numpy_kernels.tanh_form(x)), numpy_kernels.gelu_tanh_slope)


@primitive
def sum(x: Array, axis: Axes = None, keepdims: bool = False) -> Primitive:
    y = np.sum(x, axis, keepdims=keepdims)

    def back(g: Array) -> Gradients:
        g = g if keepdims or axis is None else np.expand_dims(g, axis)
        return [np.broadcast_to(g, x.shape)]

    return y, back


def mean(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    total = sum(x, axis, keepdims)
    return total * (max(np.size(bare(total)), 1) / max(math.prod(x.shape), 1))


@primitive
def reshape(x: Array, shape: Sequence[int]) -> Primitive:
    return x.reshape(shape), lambda g: [g.reshape(x.shape)]


@primitive
def transpose(x: Array, axes: Sequence[int]) -> Primitive:
    return x.transpose(axes), lambda g: [g.transpose(np.argsort(axes))]


@primitive
def concatenate(*arrays: Array, axis: int = -1) -> Primitive:
    cuts = list(itertools.accumulate(a.shape[axis] for a in arrays))[:-1]
    return np.concatenate(arrays, axis), lambda g: np.split(g, cuts, axis)


def split(x: Array, parts: int) -> Sequence[Array]:
    size = x.shape[-1] // parts
    return [x[..., i * size : (i + 1) * size] for i in range(parts)]


@primitive
def flip(x: Array, axis: int) -> Primitive:
    return np.flip(x, axis), lambda g: [np.flip(g, axis)]


@primitive
def softmax(x: Array) -> Primitive:
    e = np.exp(x - x.max(-1, keepdims=True))
    y = e / e.sum(-1, keepdims=True)
    return y, lambda g: [y * (g - (g * y).sum(-1, keepdims=True))]


def stack(values: Sequence[Array]) -> Array:
    return np.stack([bare(value) for value in values])


def argmax(x: Array) -> Array:
    return bare(x).argmax(-1)


@primitive
def cast(x: Array, dtype: str) -> Primitive:
    return x.astype(dtype), lambda g: [g.astype(x.dtype)]


rows = operator.getitem


def global_norm(arrays: Sequence[Array]) -> Array:
    return np.sqrt(np.sum([np.sum(a * a) for a in arrays]))


at_least = np.maximum
scaled = backends.scaled
decayed = functools.partial(backends.decayed, subtract=backends.less)


def blend(old: Array, new: Array, share: float) -> Array:
    return old * (1 - share) + bare(new) * share


def array(value: Array, dtype: str | None = None, device: str = "cpu") -> Array:
    return np.asarray(value, dtype if value.dtype.kind == "f" else np.int64)


def constant(held: Constant, like: Array) -> Array:
    return held.value.astype(like.dtype, copy=False)


def variable(value: Array, role: str, dtype: str, device: str = "cpu") -> Array:
    return np.array(value, dtype)


when = backends.when
assign, subtract = backends.renewed, backends.less


def numpy(value: Array, role: str = "") -> Array:
    return np.asarray(bare(value))


to_image, from_image = backends.same, backends.same


@primitive
def dense(x: Array, w: Array, b: Array | None = None) -> Primitive:
    def back(g: Array) -> Gradients:
        rows, errors = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
        return g @ w.T, rows.T @ errors, None if b is None else errors.sum(0)

    return x @ w if b is None else x @ w + b, back


conv2d = numpy_kernels.conv2d
depthwise_conv2d = numpy_kernels.depthwise_conv2d
max_pool2d = numpy_kernels.max_pool2d
average_pool2d = numpy_kernels.average_pool2d
batch_norm = numpy_kernels.batch_norm


def scale_shift(x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    return (x - mean) * (gamma / sqrt(variance + epsilon)) + beta


layer_norm = numpy_kernels.layer_norm
rms_norm = numpy_kernels.rms_norm
attention = numpy_kernels.attention


@primitive
def embedding(ids: Array, table: Array) -> Primitive:
    def back(g: Array) -> Gradients:
        out = np.zeros_like(table)
        np.add.at(out, ids, g)
        return None, out

    return table[ids], back


def recur(cell: Cell, columns: Columns, units: int, states: int, unroll: bool) -> Array:
    count, steps = columns[0].shape[:2]
    rows = ([column[:, t] for column in columns] for t in range(steps))
    start = (np.zeros((count, units), columns[0].dtype),) * states
    return numpy_kernels.side_by_side(*backends.straight(cell, rows, start))


RECURRENT: dict[str, WholeLayer] = {"lstm": numpy_kernels.lstm}


def softmax_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    losses = numpy_kernels.label_losses(logits, labels)
    return mean(losses) if reduce else losses


def sigmoid_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    losses = softplus(logits) - logits * labels
    return mean(losses) if reduce else losses


def value_and_grad(function: Function, mode: str) -> Function:
    return lambda weights, *rest: gradients(function, weights, rest)


at_trace = backends.same


def compile(step: Function, carry: Carry, mode: str) -> Function:
    return step


def compile_epoch(step: Function, carry: Carry, mode: str, shape: tuple[int, ...]) -> Function:
    return backends.python_epoch(step, backends.batches, np.stack)


def compile_inference(function: Function, carry: Carry, mode: str) -> Function:
    return function


FUSED: dict[str, Fused] = {}
