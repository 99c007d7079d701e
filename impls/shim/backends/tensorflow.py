"""TensorFlow, without Keras. Weights are variables; a step or an epoch is one tf.function, optionally XLA."""

from __future__ import annotations

import functools
from contextvars import ContextVar

import numpy as np
import tensorflow as tf

from impls import private_apis
from impls.shim import backends
from impls.shim.backends import tensorflow_kernels
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
    Rates,
    Stepped,
    WholeLayer,
)
from impls.shim.backends.tensorflow_kernels import depthwise, lstm
from impls.shim.backends.tensorflow_optimizers import fused_adam, fused_sgd

private_apis.check(__name__)

NAME = "tensorflow"
MODES: tuple[str, ...] = ("graph", "xla", "eager")
GPU_MODES: tuple[str, ...] = ()
IMAGE = "NHWC"
HALVES: tuple[str, ...] = ("bfloat16", "float16")
# Whether the function that is traced is for XLA, which takes E[x^2] - E[x]^2 for the fused kernel's variance.
_for_xla: ContextVar[bool] = ContextVar("for_xla", default=False)
LOOPS, LOOPED_TRAINING = True, False
ROLES: dict[str, tuple[int, ...]] = {}

zeros_like, ones_like, where = tf.zeros_like, tf.ones_like, tf.where
all_zeros = backends.one_by_one(zeros_like)
abs, exp, log, sqrt, tanh, sigmoid, relu, softplus = (
    tf.abs, tf.exp, tf.math.log, tf.sqrt, tf.tanh, tf.sigmoid, tf.nn.relu, tf.nn.softplus
)  # fmt: skip


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + tf.math.erf(x * 0.5**0.5))  # tf.nn.gelu's constants pass through float32


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + tf.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x * x * x)))


sum, mean, reshape, transpose = tf.reduce_sum, tf.reduce_mean, tf.reshape, tf.transpose


def concatenate(*arrays: Array, axis: int = -1) -> Array:
    return tf.concat(arrays, axis)


split = functools.partial(tf.split, axis=-1)


def flip(x: Array, axis: int) -> Array:
    return tf.reverse(x, [axis])


softmax, stack = tf.nn.softmax, tf.stack
argmax = functools.partial(tf.argmax, axis=-1, output_type=tf.int32)  # the type that labels have
cast, rows = tf.cast, tf.gather
global_norm, at_least, scaled = tf.linalg.global_norm, tf.maximum, backends.scaled


def decayed(weights: list[Array], share: Array) -> list[Array]:
    return backends.decayed(weights, share, subtract)


def blend(old: Array, new: Array, share: float) -> Array:
    return old + (new - old) * share


def array(value: Array, dtype: str | None = None, device: str = "cpu") -> Array:
    with tf.device(device):
        return tf.convert_to_tensor(np.asarray(value, dtype if value.dtype.kind == "f" else np.int32))


def constant(held: Constant, like: Array) -> Array:
    return tf.constant(held.value, like.dtype)


def variable(value: Array, role: str, dtype: str, device: str = "cpu") -> Array:
    with tf.device(device):
        return tf.Variable(np.asarray(value, dtype))


when = tensorflow_kernels.when_in_place


def assign(old: Array, new: Array) -> Array:
    old.assign(new, read_value=False)
    return old


def subtract(weight: Array, step: Array) -> Array:
    weight.assign_sub(step, read_value=False)
    return weight


def numpy(value: Array, role: str = "") -> Array:
    return np.asarray(value)


to_image, from_image = backends.same, backends.same


def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    if len(x.shape) > 2:  # one matrix product instead of one a leading index
        y = dense(tf.reshape(x, (-1, x.shape[-1])), w, b)
        leading = [-1 if n is None else n for n in x.shape[:-1]]  # of which one may be unknown
        return tf.reshape(y, (*leading, y.shape[-1]))
    return tf.matmul(x, w) if b is None else tf.nn.bias_add(tf.matmul(x, w), b)


def conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Array:
    if dilation == (1, 1):
        y = tf.nn.conv2d(x, w, stride, padding.upper())
    else:  # TensorFlow has no gradient of a dilated convolution on CPU, but one of its parts
        y = tf.compat.v1.nn.with_space_to_batch(
            x, dilation, padding.upper(), lambda x, _, padding: tf.nn.conv2d(x, w, 1, padding), w.shape[:2], [1, 2]
        )
    return y if b is None else tf.nn.bias_add(y, b)


def depthwise_conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Array:
    y = depthwise(x, w, stride, dilation, padding)
    return y if b is None else tf.nn.bias_add(y, b)


def max_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Array:
    return tf.nn.max_pool2d(x, window, stride, padding.upper())


def average_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Array:
    return tf.nn.avg_pool2d(x, window, stride, padding.upper())


def batch_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Array, Array, Array]:
    if x.dtype == tf.float32 and len(x.shape) == 4 and not _for_xla.get():  # the fused kernel has no float64
        y, mu, unbiased = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=epsilon)
        count = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
        return y, mu, unbiased * ((count - 1) / count)
    axes = list(range(len(x.shape) - 1))
    mu, var = tf.nn.moments(x, axes)
    return tf.nn.batch_normalization(x, mu, var, beta, gamma, epsilon), mu, var


def scale_shift(x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    if x.dtype == tf.float32 and len(x.shape) == 4:
        return tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, epsilon, is_training=False)[0]
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)


def layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    mu, var = tf.nn.moments(x, [-1], keepdims=True)
    return tf.nn.batch_normalization(x, mu, var, beta, gamma, epsilon)


def rms_norm(x: Array, gamma: Array, epsilon: float) -> Array:
    return x * tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True) + epsilon) * gamma


attention = tensorflow_kernels.attention


def embedding(ids: Array, table: Array) -> Array:
    return tf.gather(table, ids)


def recur(cell: Cell, columns: Columns, units: int, states: int, unroll: bool) -> Array:
    start = (tf.zeros((columns[0].shape[0], units), columns[0].dtype),) * states
    if not unroll:
        return _looped(cell, columns, start)
    rows = zip(*[tf.unstack(column, axis=1) for column in columns], strict=True)
    return tf.stack(backends.straight(cell, rows, start), 1)


def _looped(cell: Cell, columns: Columns, start: Array) -> Array:
    """The same as a while loop: less to trace and to compile, slower to run without XLA."""
    rows = [tf.transpose(column, (1, 0, 2)[: len(column.shape)]) for column in columns]  # time first
    return tf.transpose(tf.scan(lambda old, row: cell(*row, *old), rows, start)[0], (1, 0, 2))


def _lstm(x: Array, kernel: Array, recurrent: Array, bias: Array, unroll: bool | None = None) -> Array:
    return None if _for_xla.get() or unroll is False else lstm(x, kernel, recurrent, bias)  # XLA has no such kernel


RECURRENT: dict[str, WholeLayer] = {"lstm": _lstm}


def softmax_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return tf.reduce_mean(losses) if reduce else losses


def sigmoid_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
    return tf.reduce_mean(losses) if reduce else losses


def value_and_grad(function: Function, mode: str) -> Function:
    def call(weights: Arrays, *rest: object) -> Differentiated:
        values = {name: tf.convert_to_tensor(weight) for name, weight in weights.items()}  # read each variable once
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(values.values()))
            loss, aux = function(values, *rest)
        grads = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return (loss, aux), {name: tf.convert_to_tensor(g) for name, g in grads.items()}  # an embedding's is sparse

    return call


at_trace = backends.same


def compile(step: Function, carry: Carry, mode: str) -> Function:
    if mode == "eager":
        return step
    dtype = next(iter(carry["weights"].values())).dtype

    def traced(*tensors: Array) -> Array:  # the variables come through the closure, which costs nothing a call
        return step(carry, tensors[:width], tensors[width:])[1]

    run, width = _one_call(traced, mode), 0

    def call(carry: Carry, rates: Rates, columns: Columns) -> Stepped:
        nonlocal width
        width = len(rates)  # rates are tensors: a Python number would be a constant of the graph
        return carry, run(*[tf.constant(rate, dtype) for rate in rates], *columns)

    return call


def _one_call(function: Function, mode: str) -> Function:
    """A traced function of tensors, called directly: a quarter of the time of a call through tf.function."""

    def trace(*tensors: Array) -> Array:
        before = _for_xla.set(mode == "xla")
        try:
            return function(*tensors)
        finally:
            _for_xla.reset(before)

    traced = tf.function(trace, jit_compile=mode == "xla", autograph=False)
    known: dict[object, Array] = {}

    def call(*tensors: Array) -> Array:
        key = tuple([(t.shape, t.dtype) for t in tensors])
        if key not in known:
            known[key] = traced.get_concrete_function(*tensors)
        concrete = known[key]
        return concrete.inference_fn.call_preflattened([*tensors, *concrete.captured_inputs])

    return call


def compile_epoch(step: Function, carry: Carry, mode: str, shape: tuple[int, ...]) -> Function:
    if mode == "eager":
        return backends.python_epoch(step, backends.batches, lambda values: tf.stack(values).numpy())

    def epoch(batch: int, rates: Array, *columns: Array) -> Array:
        full, rest = divmod(columns[0].shape[0], batch)

        def body(at: Array, total: Array) -> Array:
            part = [_window(c, at * batch, batch) for c in columns]
            return at + 1, total + step(carry, tuple(tf.unstack(rates[at])), part)[1]

        zero = tf.zeros(shape, rates.dtype)
        total = tf.while_loop(lambda at, _: at < full, body, (0, zero), parallel_iterations=1)[1] * batch
        if rest:
            part = [c[full * batch :] for c in columns]
            total += step(carry, tuple(tf.unstack(rates[full])), part)[1] * rest
        return total

    sizes: dict[int, Function] = {}

    def run(carry: Carry, rates: Array, columns: Columns, batch: int) -> Stepped:
        if batch not in sizes:
            sizes[batch] = _one_call(functools.partial(epoch, batch), mode)
        return carry, sizes[batch](tf.convert_to_tensor(rates), *columns)

    return run


def _window(column: Array, start: Array, size: int) -> Array:
    """`column[start : start + size]` with a static shape, which XLA wants."""
    return tf.slice(column, [start] + [0] * (len(column.shape) - 1), [size, *column.shape[1:]])


def compile_inference(function: Function, carry: Carry, mode: str) -> Function:
    if mode == "eager":
        return function
    run = _one_call(lambda *columns: function(carry, columns), mode)
    return lambda carry, columns: run(*columns)


FUSED: dict[str, Fused] = {"adam": fused_adam, "sgd": fused_sgd}
