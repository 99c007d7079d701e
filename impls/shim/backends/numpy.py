"""NumPy: the reference in float64, with gradients by a small tape and no framework installed.

This is the contract: the other backends have these names in this order, and each does what is said here.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from impls.shim import backends
from impls.shim.backends import numpy_kernels
from impls.shim.backends.numpy_autodiff import bare, elementwise, gradients, primitive

NAME = "numpy"
MODES: tuple[str, ...] = ("eager",)  # the default one first
GPU_MODES: tuple[str, ...] = ()  # those of them that need a GPU
IMAGE = "NHWC"  # how image layers keep their data
HALVES: tuple[str, ...] = ("float16",)  # types that mixed precision can compute in
LOOPS = False  # whether recurrence can be straight code or a compiled loop
LOOPED_TRAINING = False  # whether it is one in training where nobody says; outside of training it is straight code
ROLES: dict[str, tuple[int, ...]] = {}  # native axes of a weight where they are not Keras's

zeros_like, ones_like = np.zeros_like, np.ones_like
where = elementwise(np.where, lambda c, a, b, y: 0.0, lambda c, a, b, y: c, lambda c, a, b, y: np.logical_not(c))
all_zeros = backends.one_by_one(zeros_like)  # (arrays)
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
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    y = np.sum(x, axis, keepdims=keepdims)

    def back(g: Any) -> Any:
        g = g if keepdims or axis is None else np.expand_dims(g, axis)
        return [np.broadcast_to(g, x.shape)]

    return y, back


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    total = sum(x, axis, keepdims)
    return total * (max(np.size(bare(total)), 1) / max(math.prod(x.shape), 1))


@primitive
def reshape(x: Any, shape: Sequence[int]) -> Any:
    return x.reshape(shape), lambda g: [g.reshape(x.shape)]


@primitive
def transpose(x: Any, axes: Sequence[int]) -> Any:
    return x.transpose(axes), lambda g: [g.transpose(np.argsort(axes))]


@primitive
def concatenate(*arrays: Any, axis: int = -1) -> Any:
    cuts = list(itertools.accumulate(a.shape[axis] for a in arrays))[:-1]
    return np.concatenate(arrays, axis), lambda g: np.split(g, cuts, axis)


def split(x: Any, parts: int) -> Any:
    """Equal parts along the last axis."""
    size = x.shape[-1] // parts
    return [x[..., i * size : (i + 1) * size] for i in range(parts)]


@primitive
def flip(x: Any, axis: int) -> Any:
    return np.flip(x, axis), lambda g: [np.flip(g, axis)]


@primitive
def softmax(x: Any) -> Any:
    """Over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    y = e / e.sum(-1, keepdims=True)
    return y, lambda g: [y * (g - (g * y).sum(-1, keepdims=True))]


def stack(values: Sequence[Any]) -> Any:
    return np.stack([bare(value) for value in values])


def argmax(x: Any) -> Any:
    """Over the last axis, in the type that labels have."""
    return bare(x).argmax(-1)


@primitive
def cast(x: Any, dtype: str) -> Any:
    """`x` in the type called `dtype`."""
    return x.astype(dtype), lambda g: [g.astype(x.dtype)]


rows = operator.getitem  # (column, order): the examples of a column in another order


def global_norm(arrays: Sequence[Any]) -> Any:
    """The 2-norm of all arrays taken as one vector."""
    return np.sqrt(np.sum([np.sum(a * a) for a in arrays]))


at_least = np.maximum  # (x, limit)
scaled = backends.scaled  # (arrays, factor)
decayed = functools.partial(backends.decayed, subtract=backends.less)  # (weights, share): see `subtract`


def blend(old: Any, new: Any, share: float) -> Any:
    """`old` with a `share` of `new` in its place."""
    return old * (1 - share) + new * share


def array(value: Any, dtype: str | None = None, device: str = "cpu") -> Any:
    """NumPy to the backend's own array; integers in the type that the backend indexes with."""
    return np.asarray(value, dtype if value.dtype.kind == "f" else np.int64)


def constant(held: backends.Constant, like: Any) -> Any:
    """An array of numbers in the type of `like`, and where that is."""
    return held.value.astype(like.dtype, copy=False)


def variable(value: Any, role: str, dtype: str, device: str = "cpu") -> Any:
    """A canonical weight as a native one that a step can update."""
    return np.array(value, dtype)


when = backends.when  # (condition, update, held): what `update()` gives, or `held` where the condition does not hold
assign = backends.renewed  # (old, new): the weight after an update, its own storage where the backend updates in place
subtract = backends.less  # (weight, step): the same, for an update by a step


def numpy(value: Any, role: str = "") -> Any:
    """Wait for a native array; canonical axes."""
    return np.asarray(bare(value))


to_image, from_image = backends.same, backends.same  # (N, H, W, C) to what image layers compute on, and back


@primitive
def dense(x: Any, w: Any, b: Any = None) -> Any:
    """x @ w + b over the last axis."""

    def back(g: Any) -> Any:
        rows, errors = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
        return g @ w.T, rows.T @ errors, None if b is None else errors.sum(0)

    return x @ w if b is None else x @ w + b, back


conv2d = numpy_kernels.conv2d  # (x, w, b, stride, dilation, padding)
depthwise_conv2d = numpy_kernels.depthwise_conv2d
max_pool2d = numpy_kernels.max_pool2d  # (x, window, stride, padding)
average_pool2d = numpy_kernels.average_pool2d
batch_norm = numpy_kernels.batch_norm  # (x, gamma, beta, epsilon) to the output, the batch's mean and biased variance


def scale_shift(x: Any, mean: Any, variance: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """Normalise each channel by given statistics."""
    return (x - mean) * (gamma / sqrt(variance + epsilon)) + beta


layer_norm = numpy_kernels.layer_norm
rms_norm = numpy_kernels.rms_norm  # (x, gamma, epsilon)
# (q, k, v, mask, causal, noise): (N, T, H, D), (N, S, G, D) and (N, S, G, E) to (N, T, H, E), each of G heads of keys
# for H / G of queries; `mask`, of (N, 1, T or 1, S), is false where no query looks; `noise` multiplies the shares
attention = numpy_kernels.attention


@primitive
def embedding(ids: Any, table: Any) -> Any:
    def back(g: Any) -> Any:
        out = np.zeros_like(table)
        np.add.at(out, ids, g)
        return None, out

    return table[ids], back


def recur(cell: Callable[..., Any], columns: Sequence[Any], units: int, states: int, unroll: bool) -> Any:
    """`states = cell(*rows, *states)` over time, from zeros: the first state of each step, (N, T, H).

    `rows` are those of one step of each column, (N, T, ...); the first one has the type of the states.
    """
    count, steps = columns[0].shape[:2]
    rows = ([column[:, t] for column in columns] for t in range(steps))
    start = (np.zeros((count, units), columns[0].dtype),) * states
    return numpy_kernels.side_by_side(*backends.straight(cell, rows, start))


RECURRENT: dict[str, Any] = {"lstm": numpy_kernels.lstm}  # layers that the backend has whole


def softmax_cross_entropy(logits: Any, labels: Any, reduce: bool) -> Any:
    """-log softmax(logits)[label] for each label, or the mean of that."""
    losses = numpy_kernels.label_losses(logits, labels)
    return mean(losses) if reduce else losses


def sigmoid_cross_entropy(logits: Any, labels: Any, reduce: bool) -> Any:
    """-log of the probability of each label in [0, 1], or the mean of that."""
    losses = softplus(logits) - logits * labels
    return mean(losses) if reduce else losses


def value_and_grad(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """`function(weights, *rest)` returns `(loss, aux)`; the result's call returns `((loss, aux), gradients)`."""
    return lambda weights, *rest: gradients(function, weights, rest)


at_trace = backends.same  # (note): a call that happens when the function around it is traced, not whenever that runs


def compile(step: Callable[..., Any], carry: Any, mode: str) -> Callable[..., Any]:
    """`run(carry, rates, columns)` -> `(carry, values)`: one step as one call."""
    return step


def compile_epoch(step: Callable[..., Any], carry: Any, mode: str, shape: tuple[int, ...]) -> Callable[..., Any]:
    """`run(carry, rates, columns, batch)` -> `(carry, values)` of `shape`: an epoch as one call; sums over examples."""
    return backends.python_epoch(step, backends.batches, np.stack)


def compile_inference(function: Callable[..., Any], carry: Any, mode: str) -> Callable[..., Any]:
    """`run(carry, columns)`: a function that changes nothing, as one call."""
    return function


# By the optimizer: updates in place, (optimizer, rates, rows), where rows are (weight, gradient, slots ...) by name;
# the rows that it returns are left to the optimizer's rule.
FUSED: dict[str, Callable[..., Any]] = {}
