"""A depthwise convolution, attention, and TensorFlow's LSTM.

Of the LSTM all steps forward are one kernel, and it has its own gradient: a short loop, then one product a weight. The
gradient that TensorFlow has for its kernel adds to the weights' at every step, and its tape of the steps as operations
is four times as long as this one. The kernel has no float64: there the steps are operations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from impls.shim.backends import composed_attention
from impls.shim.backends.contract import Array, Columns, Held, Pair
from impls.shim.backends.numpy_kernels import pads


def depthwise(x: Array, w: Array, stride: Pair, dilation: Pair, padding: str) -> Array:
    """Each channel of (N, H, W, C) by kernels of its own.

    TensorFlow's kernel strides both axes alike: for unequal strides it takes every place, of which those are kept.
    """
    if stride[0] == stride[1]:
        return tf.nn.depthwise_conv2d(x, w, (1, *stride, 1), padding.upper(), dilations=dilation)
    edges = [pads(*sizes, padding) for sizes in zip(x.shape[1:3], w.shape[:2], stride, dilation, strict=True)]
    every = tf.nn.depthwise_conv2d(tf.pad(x, [(0, 0), *edges, (0, 0)]), w, (1, 1, 1, 1), "VALID")
    return every[:, :: stride[0], :: stride[1]]


_OPERATIONS = composed_attention.Operations(tf.einsum, tf.reshape, tf.where, tf.nn.softmax, np.tri)


def attention(q: Array, k: Array, v: Array, mask: Array, causal: bool, noise: Array) -> Array:
    """TensorFlow has no kernel of it."""
    return composed_attention.attention(_OPERATIONS, q, k, v, mask, causal, noise)


def lstm(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """(N, T, inputs) to (N, T, H); gates i, f, g, o along the last axis of the weights."""
    return tf.transpose(_time_first(tf.transpose(x, (1, 0, 2)), kernel, recurrent, bias), (1, 0, 2))


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _time_first(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    i, c, f, o, g, squashed, h = (_block if x.dtype == tf.float32 else _steps)(x, kernel, recurrent, bias)

    def gradient(errors: Array) -> Array:
        before, c_before = (tf.concat([tf.zeros_like(a[:1]), a[:-1]], 0) for a in (h, c))
        through = o * (1 - squashed * squashed)
        slopes = tf.concat([g * i * (1 - i), c_before * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)], -1)
        delta = _rows(_back(recurrent, *(tf.unstack(a) for a in (errors, through, slopes, f))))  # (T * N, 4H)
        return (
            tf.reshape(tf.matmul(delta, kernel, transpose_b=True), x.shape), tf.matmul(_rows(x), delta, True),
            tf.matmul(_rows(before), delta, True), tf.reduce_sum(delta, 0),
        )  # fmt: skip

    return h, gradient


def _rows(a: Array) -> Array:
    return tf.reshape(a, (-1, a.shape[-1]))


def _block(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    start, none = tf.zeros((x.shape[1], recurrent.shape[0]), x.dtype), tf.zeros(recurrent.shape[0], x.dtype)
    return tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.constant(x.shape[0], tf.int64), x=x, cs_prev=start, h_prev=start, b=bias,
        w=tf.concat([kernel, recurrent], 0), wci=none, wcf=none, wco=none, cell_clip=-1.0, use_peephole=False,
    )  # fmt: skip


def _steps(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """What the kernel gives, by operations."""
    h = c = tf.zeros((x.shape[1], recurrent.shape[0]), x.dtype)
    kept = []
    for row in tf.unstack(tf.reshape(_rows(x) @ kernel + bias, (*x.shape[:2], -1))):
        z = tf.split(row + h @ recurrent, 4, -1)
        i, f, o, g = tf.sigmoid(z[0]), tf.sigmoid(z[1]), tf.sigmoid(z[3]), tf.tanh(z[2])
        c = f * c + i * g
        squashed = tf.tanh(c)
        h = o * squashed
        kept.append((i, c, f, o, g, squashed, h))
    return [tf.stack(column) for column in zip(*kept, strict=True)]


def _back(recurrent: Array, *columns: Columns) -> Array:
    """The gradients of the gates' inputs: (T, N, 4H). `columns`, a row a step: what stands in the names below."""
    dh = dc = tf.zeros_like(columns[0][0])
    deltas = []
    for error, through, slopes, f in zip(*(reversed(column) for column in columns), strict=True):
        dh = dh + error
        dc = dc + dh * through
        delta = tf.concat([dc, dc, dc, dh], -1) * slopes
        dh, dc = tf.matmul(delta, recurrent, transpose_b=True), dc * f
        deltas.append(delta)
    return tf.stack(deltas[::-1])


def when_in_place(condition: Array, update: Callable[[], Held], held: Held) -> Held:
    """`when` of variables, which keep what they hold where the condition does not."""
    if tf.executing_eagerly():
        return update() if condition else held

    def updated() -> Array:
        update()
        return tf.constant(True)

    tf.cond(condition, updated, lambda: tf.constant(False))
    return held
