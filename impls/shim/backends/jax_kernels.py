"""Layers of JAX whose own gradients are faster on CPU than those that JAX derives."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from impls.shim.backends import composed_attention
from impls.shim.backends.contract import Array, Pair


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def strided_conv2d(x: Array, w: Array, stride: tuple[int, int], padding: str) -> Array:
    """(N, H, W, C) by a kernel (KH, KW, C, F).

    JAX's gradient of x convolves errors with zeros between them: the stride's square times the work.
    """
    return convolved(x, w, stride, padding)


def convolved(x: Array, w: Array, stride: Pair, padding: str, dilation: Pair = (1, 1), groups: int = 1) -> Array:
    """The same with the gradients of JAX, for any dilation and number of groups."""
    return lax.conv_general_dilated(
        x, w, stride, padding, rhs_dilation=dilation, dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )  # fmt: skip


def _conv_forward(x: Array, w: Array, stride: Pair, padding: str) -> Array:
    return convolved(x, w, stride, padding), (x, w)


def _conv_backward(stride: Pair, padding: str, saved: tuple[Array, ...], errors: Array) -> Array:
    x, w = saved
    before = [low for low, _ in lax.padtype_to_pads(x.shape[1:3], w.shape[:2], stride, padding)]
    shares = jnp.tensordot(errors, w, ((3,), (3,))).reshape(*errors.shape[:3], -1)  # (N, OH, OW, KH * KW * C)
    taps = []  # the share of each tap of the kernel, at its places in x
    for tap, share in zip(np.ndindex(w.shape[:2]), jnp.split(shares, w.shape[0] * w.shape[1], -1), strict=True):
        first = np.subtract(tap, before)
        last = first + np.multiply(np.subtract(errors.shape[1:3], 1), stride)
        edges = zip(first.tolist(), (np.array(x.shape[1:3]) - last - 1).tolist(), (s - 1 for s in stride), strict=True)
        taps.append(lax.pad(share, np.zeros((), share.dtype), ((0, 0, 0), *edges, (0, 0, 0))))
    of_kernel = jax.linear_transpose(lambda w: convolved(x, w, stride, padding), w)
    return functools.reduce(jnp.add, taps), *of_kernel(errors)


strided_conv2d.defvjp(_conv_forward, _conv_backward)


_OPERATIONS = composed_attention.Operations(jnp.einsum, jnp.reshape, jnp.where, jax.nn.softmax, np.tri)


def attention(q: Array, k: Array, v: Array, mask: Array, causal: bool, noise: Array) -> Array:
    """JAX's own takes its softmax in float32, whatever the type: right for 16 bits, not for float64."""

    def composed(q: Array, k: Array, v: Array) -> Array:
        return composed_attention.attention(_OPERATIONS, q, k, v, mask, causal, noise)

    if noise is not None or mask is not None or q.dtype.itemsize != 2:
        return composed(q, k, v)
    whole = functools.partial(jax.nn.dot_product_attention, is_causal=causal)
    if q.dtype == jnp.bfloat16:
        return whole(q, k, v)
    return lax.platform_dependent(q, k, v, cpu=composed, default=whole)  # which multiplies no float16 on a CPU


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def lstm(drive: Array, recurrent: Array, bias: Array, unroll: bool) -> Array:
    """Outputs (T, N, H) of the inputs' share (T, N, 4H): gates i, f, g, o.

    lax.scan's gradient adds to the recurrent kernel's at every step: here that is one product at the end.
    """
    return _lstm_scan(drive, recurrent, bias, unroll, keeps=False)[0]


def _lstm_forward(drive: Array, recurrent: Array, bias: Array, unroll: bool) -> Array:
    y, *kept = _lstm_scan(drive, recurrent, bias, unroll, keeps=True)
    return y, (recurrent, kept)


def _lstm_scan(drive: Array, recurrent: Array, bias: Array, unroll: bool, keeps: bool) -> Array:
    """The outputs of all steps and what the gradient `keeps`, which XLA would compute for a prediction too."""

    def step(old: Array, row: Array) -> Array:
        h, c = old
        z = row + bias + h @ recurrent  # the bias here, because for all steps at once it costs a pass over memory
        i, f, _, o = jnp.split(jax.nn.sigmoid(z), 4, -1)  # of all four: XLA on CPU has no fast sigmoid of a slice
        g = jnp.tanh(jnp.split(z, 4, -1)[2])
        now = f * c + i * g
        squashed = jnp.tanh(now)
        kept = (h, c, i, f, g, o, squashed) if keeps else ()
        return (o * squashed, now), (o * squashed, *kept)

    zero = jnp.zeros((drive.shape[1], recurrent.shape[0]), drive.dtype)
    return lax.scan(step, (zero, zero), drive, unroll=unroll)[1]


def _lstm_backward(unroll: bool, saved: tuple[Array, ...], errors: Array) -> Array:
    recurrent, (before, *kept) = saved

    def step(old: Array, row: Array) -> Array:
        dh, dc = old
        error, c, i, f, g, o, squashed = row
        dh = dh + error
        dc = dc + dh * o * (1 - squashed * squashed)
        slopes = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * squashed * o * (1 - o)
        delta = jnp.concatenate(slopes, -1)
        return (delta @ recurrent.T, dc * f), delta

    zero = jnp.zeros_like(before[0])
    delta = lax.scan(step, (zero, zero), (errors, *kept), reverse=True, unroll=unroll)[1]
    return delta, jnp.einsum("tnh,tnk->hk", before, delta), delta.sum((0, 1))


lstm.defvjp(_lstm_forward, _lstm_backward)
