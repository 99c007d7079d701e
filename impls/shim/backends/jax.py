"""JAX. Everything is a pure function; a step or an epoch is one jit call whose carry is donated."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from impls.shim import backends
from impls.shim.backends import jax_kernels, jax_resident
from impls.shim.backends.contract import (
    Array,
    Carry,
    Cell,
    Columns,
    Constant,
    Function,
    Fused,
    Held,
    Pair,
    Rates,
    Stepped,
    WholeLayer,
)

NAME = "jax"
MODES: tuple[str, ...] = ("jit", "eager")
GPU_MODES: tuple[str, ...] = ()
IMAGE = "NHWC"
HALVES: tuple[str, ...] = ("bfloat16", "float16")
LOOPS, LOOPED_TRAINING = True, True
_LOOPED_WEIGHTS = 1 << 15  # a step of more weights costs more in a loop of XLA's on CPU than the call that it saves
_LARGE = 1 << 21  # bytes: from there on jax.device_put takes half of jnp.asarray's time, and twice below
_PADDED = 1 << 15  # elements; of a larger image XLA would compute the pads again for whatever reads their sum
ROLES: dict[str, tuple[int, ...]] = {}

zeros_like, ones_like, where = jax.jit(jnp.zeros_like, keep_unused=True), jnp.ones_like, jnp.where  # same device


def _all_zeros(arrays: Sequence[Array]) -> Array:
    return [jnp.zeros_like(a) for a in arrays]


all_zeros = jax.jit(_all_zeros, keep_unused=True)  # one compiled call, on the device of its arguments


def abs(x: Array) -> Array:
    return x * jnp.sign(x)  # the gradient at 0 is 0, as everywhere else: that of jnp.abs is 1 there


exp, log, sqrt, tanh, sigmoid, relu, softplus = (
    jnp.exp, jnp.log, jnp.sqrt, jnp.tanh, jax.nn.sigmoid, jax.nn.relu, jax.nn.softplus
)  # fmt: skip


gelu = functools.partial(jax.nn.gelu, approximate=False)
gelu_tanh = functools.partial(jax.nn.gelu, approximate=True)
sum, mean, reshape, transpose = jnp.sum, jnp.mean, jnp.reshape, jnp.transpose


def concatenate(*arrays: Array, axis: int = -1) -> Array:
    return jnp.concatenate(arrays, axis)


split = functools.partial(jnp.split, axis=-1)
flip, softmax, stack = jnp.flip, jax.nn.softmax, jnp.stack
argmax = functools.partial(jnp.argmax, axis=-1)


def cast(x: Array, dtype: str) -> Array:
    return jnp.asarray(x, dtype)


rows = functools.partial(jnp.take, axis=0)  # (column, order)


def global_norm(arrays: Sequence[Array]) -> Array:
    return jnp.sqrt(functools.reduce(jnp.add, [jnp.vdot(a, a) for a in arrays]))


at_least, scaled = jnp.maximum, backends.scaled
decayed = functools.partial(backends.decayed, subtract=backends.less)


def blend(old: Array, new: Array, share: float) -> Array:
    return old + (new - old) * share


def array(value: Array, dtype: str | None = None, device: str = "cpu") -> Array:
    if dtype == "float64" and not jax.config.jax_enable_x64:
        jax.config.update("jax_enable_x64", True)  # without it JAX computes in float32 and says nothing
    # A copy of its own: JAX reads NumPy's memory after this call, or for good, and a generator fills it again by then.
    value = np.array(value, dtype if value.dtype.kind == "f" else np.int32)
    if device != jax.default_backend():
        return jax.device_put(value, jax.devices(device)[0])
    return jnp.asarray(value) if value.nbytes < _LARGE else jax.device_put(value)


def constant(held: Constant, like: Array) -> Array:
    return np.asarray(held.value, like.dtype)  # JAX's own would be a tracer of the call that is traced


def variable(value: Array, role: str, dtype: str, device: str = "cpu") -> Array:
    return jnp.array(array(np.asarray(value), dtype, device), copy=True)  # a donated array must be ours alone


def when(condition: Array, update: Callable[[], Held], held: Held) -> Held:
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), update(), held)  # type: ignore[no-any-return]


assign, subtract = backends.renewed, backends.less


def numpy(value: Array, role: str = "") -> Array:
    return np.asarray(value)


to_image, from_image = backends.same, backends.same


def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    if x.ndim > 2:  # one matrix product: XLA's of more axes takes twice the time on CPU
        return dense(x.reshape(-1, x.shape[-1]), w, b).reshape(*x.shape[:-1], w.shape[-1])
    return x @ w if b is None else x @ w + b


def conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Array:
    if dilation != (1, 1) or stride == (1, 1) or x.size > _PADDED:
        y = jax_kernels.convolved(x, w, stride, padding.upper(), dilation)
    else:
        y = jax_kernels.strided_conv2d(x, w, stride, padding.upper())
    return y if b is None else y + b


def depthwise_conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Array:
    y = jax_kernels.convolved(x, w.reshape(*w.shape[:2], 1, -1), stride, padding.upper(), dilation, x.shape[-1])
    return y if b is None else y + b


def max_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Array:
    if window == stride and not (x.shape[1] % window[0] or x.shape[2] % window[1]):
        return _tile_max(x, window)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *stride, 1), padding.upper())


def _first_max(a: Array, b: Array) -> Array:
    return jnp.where(a >= b, a, b)  # at a tie jnp.maximum would split the gradient


def _tile_max(x: Array, window: Pair) -> Array:
    """Windows that tile the image: maxima of slices beat reduce_window, whose gradient is slow on CPU."""
    count, rows, columns, channels = x.shape
    tiles = x.reshape(count, rows // window[0], window[0], columns // window[1], window[1], channels)
    best = functools.reduce(_first_max, [tiles[:, :, :, :, i] for i in range(window[1])])  # (N, OH, KH, OW, C)
    return functools.reduce(_first_max, [best[:, :, i] for i in range(window[0])])  # (N, OH, OW, C)


def average_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Array:
    sizes = (1, *window, 1), (1, *stride, 1), padding.upper()
    count = lax.reduce_window(np.ones((1, *x.shape[1:3], 1), x.dtype), 0.0, lax.add, *sizes)
    return lax.reduce_window(x, 0.0, lax.add, *sizes) / count


def batch_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Array, Array, Array]:
    axes = tuple(range(x.ndim - 1))
    mu = jnp.mean(x, axes)
    centred = x - mu
    var = jnp.mean(centred * centred, axes)  # of the centred values: E[x2] - E[x]2 cancels at a large mean
    scale = gamma * lax.rsqrt(var + epsilon)
    return x * scale + (beta - mu * scale), mu, var  # not of `centred`: XLA would keep it for the backward pass


def scale_shift(x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    scale = gamma * lax.rsqrt(variance + epsilon)
    return x * scale + (beta - mean * scale)


def layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    centred = x - jnp.mean(x, -1, keepdims=True)
    return centred * lax.rsqrt(jnp.mean(centred * centred, -1, keepdims=True) + epsilon) * gamma + beta


def rms_norm(x: Array, gamma: Array, epsilon: float) -> Array:
    return x * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + epsilon) * gamma


attention = jax_kernels.attention


def embedding(ids: Array, table: Array) -> Array:
    return jnp.asarray(table)[ids]  # a table may be a `constant`


def recur(cell: Cell, columns: Columns, units: int, states: int, unroll: bool) -> Array:
    def step(old: Array, row: Array) -> Array:
        new = cell(*row, *old)
        return new, new[0]

    rows = [column.swapaxes(0, 1) for column in columns]
    zero = jnp.zeros((len(columns[0]), units), columns[0].dtype)
    return lax.scan(step, (zero,) * states, rows, unroll=unroll)[1].swapaxes(0, 1)


def _lstm(x: Array, kernel: Array, recurrent: Array, bias: Array, unroll: bool | None = None) -> Array:
    drive = dense(x.swapaxes(0, 1), kernel)  # (T, N, 4H)
    return jax_kernels.lstm(drive, recurrent, bias, bool(unroll)).swapaxes(0, 1)


RECURRENT: dict[str, WholeLayer] = {"lstm": _lstm}


def softmax_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    logs = jax.nn.log_softmax(logits)
    losses = -jnp.take_along_axis(logs, labels[..., None], -1)[..., 0]
    return jnp.mean(losses) if reduce else losses


def sigmoid_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    losses = softplus(logits) - logits * labels
    return jnp.mean(losses) if reduce else losses


def value_and_grad(function: Function, mode: str) -> Function:
    return jax.value_and_grad(function, has_aux=True)  # type: ignore[no-any-return]


at_trace = backends.same


def compile(step: Function, carry: Carry, mode: str) -> Function:
    if mode == "eager":
        return step
    if jax_resident.on_gpu(carry):
        return jax_resident.Step(step)
    return jax.jit(step, donate_argnums=0)  # type: ignore[no-any-return]


def compile_epoch(step: Function, carry: Carry, mode: str, shape: tuple[int, ...]) -> Function:
    if mode == "eager":
        return backends.python_epoch(step, backends.batches, jnp.stack)
    weights = carry["weights"].values()
    large = any(w.ndim == 4 for w in weights) or np.sum([w.size for w in weights]) > _LOOPED_WEIGHTS
    if large and not jax_resident.on_gpu(carry):
        return _sliced_epoch(step, shape)

    def turn(carry: Carry, part: tuple[Rates, Columns]) -> Stepped:
        return step(carry, tuple(part[0]), part[1])  # type: ignore[no-any-return]

    @functools.partial(jax.jit, static_argnums=3, donate_argnums=0)
    def run(carry: Carry, rates: Array, columns: Columns, batch: int) -> Stepped:
        full, rest = divmod(len(columns[0]), batch)
        parts = [c[: full * batch].reshape(full, batch, *c.shape[1:]) for c in columns]
        carry, values = lax.scan(turn, carry, (rates[:full], parts))
        total = values.sum(0) * batch
        if rest:
            carry, value = step(carry, tuple(rates[full]), [c[full * batch :] for c in columns])
            total = total + value * rest
        return carry, total

    return run  # type: ignore[no-any-return]


def _sliced_epoch(step: Function, shape: tuple[int, ...]) -> Function:
    """A Python loop whose every call takes its own slice and adds to the total."""

    @functools.partial(jax.jit, static_argnums=5, donate_argnums=0)
    def one(carry: Carry, total: Array, rates: Rates, columns: Columns, start: Array, size: int) -> Stepped:
        part = [lax.dynamic_slice_in_dim(column, start, size) for column in columns]
        carry, value = step(carry, rates, part)
        return carry, total + value * size

    def run(carry: Carry, rates: Array, columns: Columns, batch: int) -> Stepped:
        total = jax.device_put(np.zeros(shape, rates.dtype), columns[0].sharding)  # a number would be another trace
        for row, start in zip(rates.tolist(), range(0, len(columns[0]), batch), strict=False):
            carry, total = one(carry, total, tuple(row), columns, start, min(batch, len(columns[0]) - start))
        return carry, total

    return run


def compile_inference(function: Function, carry: Carry, mode: str) -> Function:
    return jax.jit(function) if mode == "jit" else function


FUSED: dict[str, Fused] = {}  # XLA fuses the rule
