"""NumPy with its hot kernels compiled by Numba. Nothing above a backend knows of it, and what is not here is NumPy's.

A kernel is compiled for a dtype at its first call and kept on disk. Loops that sum over a batch do it in float64.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from impls.shim.backends import numpy_kernels
from impls.shim.backends.contract import Array, Function, Fused, Optimizer, Pair, Rates, Rows, WholeLayer
from impls.shim.backends.numpy import *  # noqa: F403
from impls.shim.backends.numpy_autodiff import Back, Gradients, Primitive, primitive

NAME = "numba"
HALVES: tuple[str, ...] = ()


def variable(value: Array, role: str, dtype: str, device: str = "cpu") -> Array:
    return np.array(value, dtype, order="C")  # what the optimizer's kernel updates in place


def _jitted(function: Function) -> Array:
    """The function compiled at its first call, and from the disk the next time where there is a place to keep it."""
    try:
        return numba.njit(function, cache=True, error_model="numpy")
    except RuntimeError:  # a folder that cannot be written, or a file that is patched in memory
        return numba.njit(function, error_model="numpy")


@_jitted
def _gather(x: Array, edge: Pair, stride: Pair, dilation: Pair, out: Array) -> None:
    """The windows of images into `out`, (N, OH, OW, KH, KW, C), which is zero where the padding is."""
    for n, r, c, i, j in np.ndindex(out.shape[:5]):
        row, column = r * stride[0] + i * dilation[0] - edge[0], c * stride[1] + j * dilation[1] - edge[1]
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            for k in range(x.shape[3]):
                out[n, r, c, i, j, k] = x[n, row, column, k]


@_jitted
def _spread(g: Array, edge: Pair, stride: Pair, dilation: Pair, out: Array) -> None:
    """The sum of gradients of windows back into images."""
    for n, r, c, i, j in np.ndindex(g.shape[:5]):
        row, column = r * stride[0] + i * dilation[0] - edge[0], c * stride[1] + j * dilation[1] - edge[1]
        if 0 <= row < out.shape[1] and 0 <= column < out.shape[2]:
            for k in range(out.shape[3]):
                out[n, row, column, k] += g[n, r, c, i, j, k]


def _layout(x: Array, window: Pair, stride: Pair, dilation: Pair, padding: str) -> tuple[tuple[int, ...], Pair]:
    """The shape (N, OH, OW) of the windows, and the padding in front."""
    pads = [numpy_kernels.pads(*sizes, padding) for sizes in zip(x.shape[1:3], window, stride, dilation, strict=True)]
    reach = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
    places = [(n + p[0] + p[1] - r) // s + 1 for n, p, r, s in zip(x.shape[1:3], pads, reach, stride, strict=True)]
    return (len(x), *places), (pads[0][0], pads[1][0])


@primitive
def conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Primitive:
    x, matrix = np.ascontiguousarray(x), w.reshape(-1, w.shape[-1])
    places, edge = _layout(x, w.shape[:2], stride, dilation, padding)
    views = np.zeros((*places, *w.shape[:3]), x.dtype)
    _gather(x, edge, stride, dilation, views)
    flat = views.reshape(-1, len(matrix))  # (N OH OW, KH KW C)
    y = (flat @ matrix).reshape(*places, -1)

    def back(g: Array) -> Gradients:
        errors, slope = g.reshape(-1, g.shape[-1]), np.zeros_like(x)
        _spread((errors @ matrix.T).reshape(views.shape), edge, stride, dilation, slope)
        return slope, (flat.T @ errors).reshape(w.shape), errors.sum(0)

    return y if b is None else y + b, back


@_jitted
def _maxima(x: Array, window: Pair, edge: Pair, stride: Pair, y: Array, first: Array) -> None:
    """The first maximum of each window and its place in the image; a NaN is one."""
    for n, r, c, k in np.ndindex(y.shape):
        place = -1
        for i, j in np.ndindex(window):
            row, column = r * stride[0] + i - edge[0], c * stride[1] + j - edge[1]
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                value = x[n, row, column, k]
                if place < 0 or (not value <= y[n, r, c, k] and not np.isnan(y[n, r, c, k])):
                    y[n, r, c, k], place = value, row * x.shape[2] + column
        first[n, r, c, k] = place


@_jitted
def _to_maxima(g: Array, first: Array, out: Array) -> None:
    for n, r, c, k in np.ndindex(g.shape):
        place = first[n, r, c, k]
        out[n, place // out.shape[2], place % out.shape[2], k] += g[n, r, c, k]


@primitive
def max_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Primitive:
    x = np.ascontiguousarray(x)
    places, edge = _layout(x, window, stride, (1, 1), padding)
    y, first = np.empty((*places, x.shape[-1]), x.dtype), np.empty((*places, x.shape[-1]), np.int64)
    _maxima(x, window, edge, stride, y, first)

    def back(g: Array) -> Gradients:
        slope = np.zeros_like(x)
        _to_maxima(np.ascontiguousarray(g), first, slope)
        return [slope]

    return y, back


@_jitted
def _moments(x: Array) -> Array:
    """Mean and biased variance of each column, in two passes."""
    mean, variance = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for m in range(len(x)):
        for k in range(x.shape[1]):
            mean[k] += x[m, k]
    mean /= len(x)
    for m in range(len(x)):
        for k in range(x.shape[1]):
            variance[k] += (x[m, k] - mean[k]) ** 2
    return mean, variance / len(x)


@_jitted
def _normalised(x: Array, mean: Array, scale: Array, gamma: Array, beta: Array, z: Array, y: Array) -> None:
    for m in range(len(x)):
        for k in range(x.shape[1]):
            z[m, k] = (x[m, k] - mean[k]) * scale[k]
            y[m, k] = gamma[k] * z[m, k] + beta[k]


@_jitted
def _slopes(g: Array, z: Array, factor: Array, out: Array) -> tuple[Array, Array]:
    """The gradient of what was normalised into `out`, and those of gamma and beta."""
    gamma, beta = np.zeros(g.shape[1]), np.zeros(g.shape[1])
    for m in range(len(g)):
        for k in range(g.shape[1]):
            gamma[k] += g[m, k] * z[m, k]
            beta[k] += g[m, k]
    for m in range(len(g)):
        for k in range(g.shape[1]):
            out[m, k] = factor[k] * (g[m, k] - beta[k] / len(g) - z[m, k] * gamma[k] / len(g))
    return gamma, beta


@primitive
def batch_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Array, Back, Array, Array]:
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])  # (M, C)
    mu, var = _moments(rows)
    z, y, scale = np.empty_like(rows), np.empty_like(rows), 1 / np.sqrt(var + epsilon)
    _normalised(rows, mu, scale, gamma, beta, z, y)

    def back(g: Array) -> Gradients:
        slope = np.empty_like(rows)
        weights = _slopes(np.ascontiguousarray(g).reshape(z.shape), z, gamma * scale, slope)
        return slope.reshape(x.shape), *(a.astype(x.dtype) for a in weights)

    return y.reshape(x.shape), back, mu.astype(x.dtype), var.astype(x.dtype)


@_jitted
def _added(g: Array, ids: Array, out: Array) -> None:
    for m in range(len(ids)):
        for k in range(out.shape[1]):
            out[ids[m], k] += g[m, k]


@primitive
def embedding(ids: Array, table: Array) -> Primitive:
    def back(g: Array) -> Gradients:
        out = np.zeros_like(table)
        _added(np.ascontiguousarray(g).reshape(-1, g.shape[-1]), np.ascontiguousarray(ids).reshape(-1), out)
        return None, out

    return table[ids], back


@_jitted
def _cell(powers: Array, g: Array, old: Array, gates: Array, c: Array) -> None:
    """The gates i, f, c, o of a step from exp(-z) and tanh(z), and the new c; NumPy is faster at exp and tanh."""
    one, units = g.dtype.type(1), old.shape[1]
    for n, k in np.ndindex(old.shape):
        i, f = one / (one + powers[n, k]), one / (one + powers[n, units + k])
        gates[0, n, k], gates[1, n, k], gates[2, n, k] = i, f, g[n, k]
        gates[3, n, k] = one / (one + powers[n, 3 * units + k])
        c[n, k] = f * old[n, k] + i * g[n, k]


@_jitted
def _cell_slopes(dh: Array, dc: Array, gates: Array, before: Array, squashed: Array, delta: Array) -> None:
    """The gradient of z into `delta`, and that of the old c into `dc`."""
    one, units = dc.dtype.type(1), dc.shape[1]
    for n, k in np.ndindex(dc.shape):
        i, f, g, o = gates[0, n, k], gates[1, n, k], gates[2, n, k], gates[3, n, k]
        s = squashed[n, k]
        slope = dc[n, k] + dh[n, k] * o * (one - s * s)
        delta[n, k] = slope * g * i * (one - i)
        delta[n, units + k] = slope * before[n, k] * f * (one - f)
        delta[n, 2 * units + k] = slope * i * (one - g * g)
        delta[n, 3 * units + k] = dh[n, k] * s * o * (one - o)
        dc[n, k] = slope * f


@primitive
@np.errstate(over="ignore")  # exp(-z) may be infinite: such a gate is 0
def _lstm(x: Array, kernel: Array, recurrent: Array, bias: Array, unroll: bool | None = None) -> Primitive:
    (count, steps), units = x.shape[:2], len(recurrent)
    drive = np.ascontiguousarray((x @ kernel + bias).swapaxes(0, 1))  # (T, N, 4H)
    h, c = np.zeros((2, steps + 1, count, units), x.dtype)  # entry t: before step t
    gates, squashed = np.empty((steps, 4, count, units), x.dtype), np.empty((steps, count, units), x.dtype)
    for t in range(steps):
        z = drive[t] + h[t] @ recurrent
        _cell(np.exp(-z), np.tanh(z[:, 2 * units : 3 * units]), c[t], gates[t], c[t + 1])
        np.tanh(c[t + 1], out=squashed[t])
        np.multiply(gates[t, 3], squashed[t], out=h[t + 1])

    def back(errors: Array) -> Gradients:
        delta = np.empty_like(drive)
        dh, dc = np.zeros((2, count, units), x.dtype)
        for t in reversed(range(steps)):
            _cell_slopes(dh + errors[:, t], dc, gates[t], c[t], squashed[t], delta[t])
            dh = delta[t] @ recurrent.T
        rows, before = delta.reshape(-1, 4 * units), h[:-1].reshape(-1, units)  # (T N, ...)
        inputs = x.swapaxes(0, 1).reshape(len(rows), -1)
        return (delta @ kernel.T).swapaxes(0, 1), inputs.T @ rows, before.T @ rows, rows.sum(0)

    return h[1:].swapaxes(0, 1), back


RECURRENT: dict[str, WholeLayer] = {"lstm": _lstm}


@_jitted
def _adam_of_one(
    w: Array, g: Array, m: Array, v: Array, rate: float, rest_1: float, rest_2: float, epsilon: float
) -> None:
    for k in range(w.size):
        m[k] += (g[k] - m[k]) * rest_1
        v[k] += (g[k] * g[k] - v[k]) * rest_2
        w[k] -= m[k] * rate / (math.sqrt(v[k]) + epsilon)


def _adam(optimizer: Optimizer, rates: Rates, rows: Rows) -> None:
    constants = np.array([rates[0], 1 - optimizer.beta_1, 1 - optimizer.beta_2, optimizer.epsilon])
    for row in rows.values():
        _adam_of_one(*[np.ascontiguousarray(a).reshape(-1) for a in row], *constants.astype(row[0].dtype))


FUSED: dict[str, Fused] = {"adam": _adam}
