"""MXNet 1.9.1, the last release: its NumPy interface, eager, with its own tape. Images are NCHW, as its kernels are.

Steps around what this release computes in float32 whatever it is given: the slope of erf (its 2 / sqrt(pi) is a float,
gelu's gradient 3e-8 off), LayerNorm's epsilon (1.7e-10), the rates of its fused optimizers (1.5e-9). And around
softrelu, which is x from 20 on, and `np.pad`, whose branch for constants lacks its `return`, so that it pads with 0.
Importing this turns MXNet's NumPy semantics on (`npx.set_np`), in the whole process.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence

import numpy as np
from mxnet import autograd, cpu, gpu, nd, npx
from mxnet import np as mnp

from impls.shim import backends
from impls.shim.backends import numpy_kernels
from impls.shim.backends.contract import (
    Array,
    Arrays,
    Carry,
    Cell,
    Columns,
    Constant,
    Differentiated,
    Function,
    Fused,
    Pair,
    WholeLayer,
)

npx.set_np()

NAME = "mxnet"
MODES: tuple[str, ...] = ("eager",)
GPU_MODES: tuple[str, ...] = ()
IMAGE = "NCHW"
HALVES: tuple[str, ...] = ()
LOOPS, LOOPED_TRAINING = False, False
ROLES: dict[str, tuple[int, ...]] = {"conv": (3, 2, 0, 1), "depthwise": (2, 3, 0, 1), "recurrent": (1, 0)}

zeros_like, ones_like, where = mnp.zeros_like, mnp.ones_like, mnp.where
all_zeros = backends.one_by_one(zeros_like)
abs, exp, log, sqrt, tanh, sigmoid, relu = mnp.abs, mnp.exp, mnp.log, mnp.sqrt, mnp.tanh, npx.sigmoid, npx.relu


def softplus(x: Array) -> Array:
    positive = relu(x)
    return positive + mnp.log1p(exp(x - 2 * positive))  # -|x|, whose own slope at 0 would be 0


def gelu(x: Array) -> Array:
    at = x.detach()
    cdf, density = 0.5 * (1 + npx.erf(at / math.sqrt(2))), exp(-0.5 * at * at) / math.sqrt(2 * math.pi)
    return x * (cdf + (x - at) * density)  # no more than the cdf, with its slope


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


sum, mean, reshape, transpose = mnp.sum, mnp.mean, mnp.reshape, mnp.transpose


def concatenate(*arrays: Array, axis: int = -1) -> Array:
    return mnp.concatenate(arrays, axis)


split = functools.partial(mnp.split, axis=-1)
flip, softmax, stack = mnp.flip, functools.partial(npx.softmax, axis=-1), mnp.stack
argmax = functools.partial(mnp.argmax, axis=-1)


def cast(x: Array, dtype: str) -> Array:
    return x.astype(dtype)


rows = operator.getitem


def global_norm(arrays: Sequence[Array]) -> Array:
    return sqrt(sum(stack([sum(a * a) for a in arrays])))


at_least = mnp.maximum
scaled = backends.scaled
decayed = functools.partial(backends.decayed, subtract=backends.less)


def blend(old: Array, new: Array, share: float) -> Array:
    return old * (1 - share) + new.detach() * share


def array(value: Array, dtype: str | None = None, device: str = "cpu") -> Array:
    kind = dtype or str(value.dtype) if value.dtype.kind == "f" else "int64"
    return mnp.array(value, dtype=kind, ctx=_place(device))


def constant(held: Constant, like: Array) -> Array:
    return mnp.array(held.value, dtype=like.dtype, ctx=like.ctx)


def _place(device: str) -> object:
    return gpu() if device == "gpu" else cpu()


def variable(value: Array, role: str, dtype: str, device: str = "cpu") -> Array:
    value = np.transpose(value, ROLES.get(role, range(np.ndim(value))))
    return mnp.array(value, dtype=dtype, ctx=_place(device))


when, assign, subtract = backends.when, backends.renewed, backends.less


def numpy(value: Array, role: str = "") -> Array:
    value = value.asnumpy() if isinstance(value, mnp.ndarray) else np.asarray(value)
    return value.transpose(np.argsort(ROLES[role])) if role in ROLES else value


def to_image(x: Array) -> Array:
    return x.transpose(0, 3, 1, 2)


def from_image(x: Array) -> Array:
    return x.transpose(0, 2, 3, 1)


def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    return mnp.dot(x, w) if b is None else mnp.dot(x, w) + b


def _padded(x: Array, window: Pair, stride: Pair, dilation: Pair, padding: str, fill: float = 0.0) -> Array:
    """`x` with the places that the padding adds, filled."""
    edges = [numpy_kernels.pads(*sizes, padding) for sizes in zip(x.shape[2:], window, stride, dilation, strict=True)]
    if not any(map(any, edges)):
        return x
    width = (0, 0, 0, 0, *edges[0], *edges[1])
    return nd.pad(x.as_nd_ndarray(), mode="constant", pad_width=width, constant_value=fill).as_np_ndarray()


def conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Array:
    return _grouped(x, w, b, stride, dilation, padding, 1)


def _grouped(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str, groups: int) -> Array:
    x, bias = _padded(x, w.shape[2:], stride, dilation, padding), () if b is None else (b,)
    return npx.convolution(
        x, w, *bias, kernel=w.shape[2:], stride=stride, dilate=dilation, num_filter=len(w), num_group=groups,
        no_bias=b is None,
    )  # fmt: skip


def depthwise_conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Array:
    kernel = w.reshape(-1, 1, *w.shape[2:])  # (C M, 1, KH, KW)
    return _grouped(x, kernel, b, stride, dilation, padding, x.shape[1])


def max_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Array:
    x = _padded(x, window, stride, (1, 1), padding, -math.inf)
    return npx.pooling(x, kernel=window, stride=stride, pool_type="max")


def average_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Array:
    ones = mnp.ones((1, 1, *x.shape[2:]), dtype=x.dtype, ctx=x.ctx)
    sums = [
        npx.pooling(_padded(a, window, stride, (1, 1), padding), kernel=window, stride=stride, pool_type="sum")
        for a in (x, ones)
    ]
    return sums[0] / sums[1]


def batch_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Array, Array, Array]:
    running = [zeros_like(gamma), ones_like(gamma)]  # its own, which nobody reads
    with autograd.train_mode():
        y, mu, inverse = npx.batch_norm(
            x, gamma, beta, *running, eps=epsilon, fix_gamma=False, output_mean_var=True, axis=1 if x.ndim == 4 else -1
        )  # fmt: skip
    return y, mu.detach(), inverse.detach() ** -2 - epsilon


def scale_shift(x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    shape = (-1, 1, 1) if x.ndim == 4 else (-1,)
    scale, offset, mean = (a.reshape(shape) for a in (gamma / sqrt(variance + epsilon), beta, mean))
    return (x - mean) * scale + offset


def layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    centred = x - mean(x, -1, keepdims=True)
    return centred / sqrt(mean(centred * centred, -1, keepdims=True) + epsilon) * gamma + beta


def rms_norm(x: Array, gamma: Array, epsilon: float) -> Array:
    return x / sqrt(mean(x * x, -1, keepdims=True) + epsilon) * gamma


attention = backends.refused("mxnet", "attention")


def embedding(ids: Array, table: Array) -> Array:
    return mnp.take(table, ids, 0)


def recur(cell: Cell, columns: Columns, units: int, states: int, unroll: bool) -> Array:
    count, steps = columns[0].shape[:2]
    start = (mnp.zeros((count, units), dtype=columns[0].dtype, ctx=columns[0].ctx),) * states
    lines = ([column[:, t] for column in columns] for t in range(steps))
    return stack(backends.straight(cell, lines, start), 1)


def _whole(kind: str, x: Array, kernel: Array, recurrent: Array, biases: Array) -> Array:
    """One of its recurrent layers: weights in one vector, time in front."""
    units = recurrent.shape[1]
    packed = concatenate(kernel.reshape(-1), recurrent.reshape(-1), *biases)
    start = [mnp.zeros((1, len(x), units), dtype=x.dtype, ctx=x.ctx)] * (2 if kind == "lstm" else 1)
    states = dict(zip(("state", "state_cell"), start, strict=False))
    y = npx.rnn(x.swapaxes(0, 1), packed, mode=kind, state_size=units, num_layers=1, **states)  # (T, N, H)
    return y.swapaxes(0, 1)


def _lstm(x: Array, kernel: Array, recurrent: Array, bias: Array, unroll: bool | None = None) -> Array:
    return _whole("lstm", x, kernel, recurrent, (bias, zeros_like(bias)))


def _gru(x: Array, kernel: Array, recurrent: Array, bias: Array, unroll: bool | None = None) -> Array:
    blocks = [split(w.T if w.ndim == 2 else w, 3) for w in (kernel, recurrent, *bias)]
    kernel, recurrent, *biases = (concatenate(r, z, n).T for z, r, n in blocks)  # its gates: r, z, n
    return _whole("gru", x, kernel, recurrent, biases)


RECURRENT: dict[str, WholeLayer] = {"lstm": _lstm, "gru": _gru}


def softmax_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    losses = -npx.pick(npx.log_softmax(logits, axis=-1), labels, axis=-1)
    return mean(losses) if reduce else losses


def sigmoid_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    losses = softplus(logits) - logits * labels
    return mean(losses) if reduce else losses


def value_and_grad(function: Function, mode: str) -> Function:
    def call(weights: Arrays, *rest: object) -> Differentiated:
        grads = {name: zeros_like(weight) for name, weight in weights.items()}
        autograd.mark_variables(list(weights.values()), list(grads.values()))
        with autograd.record():
            loss, aux = function(weights, *rest)
        loss.backward()
        return (loss.detach(), aux), grads

    return call


at_trace = backends.same


def compile(step: Function, carry: Carry, mode: str) -> Function:
    return step


def compile_epoch(step: Function, carry: Carry, mode: str, shape: tuple[int, ...]) -> Function:
    return backends.python_epoch(step, backends.batches, mnp.stack)


def compile_inference(function: Function, carry: Carry, mode: str) -> Function:
    return function


FUSED: dict[str, Fused] = {}
