"""What the NumPy backend computes in more than a line: activations, windows, normalisation, recurrence, a loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from impls.shim.backends.contract import Array, Pair
from impls.shim.backends.numpy_autodiff import Back, Gradients, Primitive, primitive

erf = np.frompyfunc(math.erf, 1, 1)


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


def normal_cdf(x: Array) -> Array:
    return (0.5 * (1 + erf(x / math.sqrt(2)).astype(float))).astype(x.dtype)


def gelu_slope(x: Array, y: Array) -> Array:
    return normal_cdf(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def tanh_form(x: Array) -> Array:
    return np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def gelu_tanh_slope(x: Array, y: Array) -> Array:
    t = tanh_form(x)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)


def pads(size: int, window: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """TensorFlow's SAME: the output has ceil(size / stride) places and the odd zero goes behind; VALID: none."""
    reach = (window - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0) if padding == "same" else 0
    return total // 2, total - total // 2


def windows(
    x: Array, window: Pair, stride: Pair, dilation: Pair, padding: str, fill: float = 0.0
) -> tuple[Array, Callable[[Array], Array]]:
    """The views (N, OH, OW, KH, KW, C) of `x`, and the sum of gradients of such views back to `x`."""
    edge = [pads(*sizes, padding) for sizes in zip(x.shape[1:3], window, stride, dilation, strict=False)]
    padded = np.pad(x, [(0, 0), *edge, (0, 0)], constant_values=fill)
    reach = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=False)]
    views = np.lib.stride_tricks.sliding_window_view(padded, reach, (1, 2))
    views = views[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]].transpose(0, 1, 2, 4, 5, 3)
    rows, columns = views.shape[1:3]

    def back(g: Array) -> Array:
        out = np.zeros_like(padded)
        for i, j in np.ndindex(*window):
            top, left = i * dilation[0], j * dilation[1]
            out[:, top : top + rows * stride[0] : stride[0], left : left + columns * stride[1] : stride[1]] += g[
                :, :, :, i, j
            ]
        return out[:, edge[0][0] : edge[0][0] + x.shape[1], edge[1][0] : edge[1][0] + x.shape[2]]

    return views, back


@primitive
def conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Primitive:
    """Cross-correlation of (N, H, W, C) with (KH, KW, C, F)."""
    views, spread = windows(x, w.shape[:2], stride, dilation, padding)
    flat = views.reshape(-1, w[..., 0].size)  # (N OH OW, KH KW C)
    matrix = w.reshape(-1, w.shape[-1])
    y = (flat @ matrix).reshape(*views.shape[:3], -1)

    def back(g: Array) -> Gradients:
        errors = g.reshape(-1, g.shape[-1])
        return spread((errors @ matrix.T).reshape(views.shape)), (flat.T @ errors).reshape(w.shape), errors.sum(0)

    return y if b is None else y + b, back


@primitive
def depthwise_conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Primitive:
    """Each channel by its own M kernels, (KH, KW, C, M): (N, OH, OW, C M)."""
    views, spread = windows(x, w.shape[:2], stride, dilation, padding)
    y = np.einsum("nhwijc,ijcm->nhwcm", views, w)

    def back(g: Array) -> Gradients:
        e = g.reshape(y.shape)
        ways = np.einsum("nhwcm,ijcm->nhwijc", e, w), np.einsum("nhwijc,nhwcm->ijcm", views, e)
        return spread(ways[0]), ways[1], g.sum((0, 1, 2))

    return y.reshape(*y.shape[:3], -1) + (0 if b is None else b), back


@primitive
def max_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Primitive:
    """The gradient of a tie goes to the first maximum in row-major order, as in TensorFlow and torch."""
    views, spread = windows(x, window, stride, (1, 1), padding, -np.inf)
    flat = views.reshape(*views.shape[:3], -1, x.shape[-1])  # (N, OH, OW, KH KW, C)
    first = flat.argmax(3)[..., None, :]

    def back(g: Array) -> Gradients:
        return [spread((g[..., None, :] * (np.arange(flat.shape[3])[:, None] == first)).reshape(views.shape))]

    return np.take_along_axis(flat, first, 3)[..., 0, :], back


@primitive
def average_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Primitive:
    """The padding is not counted."""
    views, spread = windows(x, window, stride, (1, 1), padding)
    count = windows(np.ones_like(x), window, stride, (1, 1), padding)[0].sum((3, 4))
    return views.sum((3, 4)) / count, lambda g: [spread(np.broadcast_to((g / count)[..., None, None, :], views.shape))]


@primitive
def batch_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Array, Back, Array, Array]:
    """Normalise each channel by its own batch; also the batch's mean and biased variance."""
    axes = tuple(range(x.ndim - 1))
    mu, var = x.mean(axes), x.var(axes)
    scale = 1 / np.sqrt(var + epsilon)
    z = (x - mu) * scale

    def back(g: Array) -> Gradients:
        slope = g - g.mean(axes) - z * (g * z).mean(axes)
        return gamma * scale * slope, (g * z).sum(axes), g.sum(axes)

    return gamma * z + beta, back, mu, var


@primitive
def layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> Primitive:
    scale = 1 / np.sqrt(x.var(-1, keepdims=True) + epsilon)
    z = (x - x.mean(-1, keepdims=True)) * scale

    def back(g: Array) -> Gradients:
        h, axes = g * gamma, tuple(range(x.ndim - 1))
        slope = h - h.mean(-1, keepdims=True) - z * (h * z).mean(-1, keepdims=True)
        return scale * slope, (g * z).sum(axes), g.sum(axes)

    return gamma * z + beta, back


@primitive
def rms_norm(x: Array, gamma: Array, epsilon: float) -> Primitive:
    scale = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon)
    z = x * scale

    def back(g: Array) -> Gradients:
        h = g * gamma
        return scale * (h - z * (h * z).mean(-1, keepdims=True)), (g * z).sum(tuple(range(x.ndim - 1)))

    return gamma * z, back


def shares(scores: Array, seen: Array) -> Array:
    """Softmax over the places that are seen; all zero where none is."""
    if seen is not None:
        scores = np.where(seen, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    e = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


@primitive
def attention(q: Array, k: Array, v: Array, mask: Array, causal: bool, noise: Array) -> Primitive:
    """Vaswani et al. (2017), equation 1, for each head; causal: query t looks at keys 0 to t."""
    (count, steps, heads, units), groups = q.shape, k.shape[2]
    grouped = count, steps, groups, heads // groups, -1
    queries = q.reshape(grouped).transpose(0, 2, 3, 1, 4)  # (N, G, R, T, D)
    keys, values = (a.transpose(0, 2, 1, 3)[:, :, None] for a in (k, v))  # (N, G, 1, S, ...)
    seen = mask if mask is None else mask[:, :, None]
    if causal:
        lower = np.tril(np.ones((steps, k.shape[1]), bool))
        seen = lower if seen is None else seen & lower
    scale = 1 / math.sqrt(units)
    p = shares(queries @ keys.swapaxes(-1, -2) * scale, seen)
    factor = 1 if noise is None else noise.reshape(count, groups, heads // groups, *noise.shape[2:])
    kept = p * factor

    def back(g: Array) -> Gradients:
        errors = g.reshape(grouped).transpose(0, 2, 3, 1, 4)
        slopes = errors @ values.swapaxes(-1, -2) * factor
        slopes = p * (slopes - (slopes * p).sum(-1, keepdims=True)) * scale
        of_keys, of_values = ((a.swapaxes(-1, -2) @ b).sum(2) for a, b in ((slopes, queries), (kept, errors)))
        of_queries = (slopes @ keys).transpose(0, 3, 1, 2, 4).reshape(q.shape)
        return of_queries, of_keys.transpose(0, 2, 1, 3), of_values.transpose(0, 2, 1, 3)

    return (kept @ values).transpose(0, 3, 1, 2, 4).reshape(count, steps, heads, -1), back


@primitive
def side_by_side(*rows: Array) -> Primitive:
    """Arrays (N, H), one a step, to (N, T, H)."""
    return np.stack(rows, 1), lambda g: list(np.moveaxis(g, 1, 0))


@primitive
def lstm(x: Array, kernel: Array, recurrent: Array, bias: Array, unroll: bool | None = None) -> Primitive:
    """Hochreiter and Schmidhuber (1997) with forget gates; gates i, f, c, o along the last axis; zero start."""
    count, steps, _ = x.shape
    units = len(recurrent)
    drive = x @ kernel + bias  # (B, T, 4H)
    h, c = np.zeros((2, steps + 1, count, units), x.dtype)  # entry t: before step t
    gates = np.empty((steps, 4, count, units), x.dtype)
    for t in range(steps):
        i, f, g, o = np.split(drive[:, t] + h[t] @ recurrent, 4, -1)
        gates[t] = logistic(i), logistic(f), np.tanh(g), logistic(o)
        i, f, g, o = gates[t]
        c[t + 1] = f * c[t] + i * g
        h[t + 1] = o * np.tanh(c[t + 1])

    def back(errors: Array) -> Gradients:
        delta = np.empty_like(drive)
        dh, dc = np.zeros((2, count, units), x.dtype)
        for t in reversed(range(steps)):
            i, f, g, o = gates[t]
            squashed = np.tanh(c[t + 1])
            dh = dh + errors[:, t]
            dc = dc + dh * o * (1 - squashed**2)
            slopes = dc * g * i * (1 - i), dc * c[t] * f * (1 - f), dc * i * (1 - g * g), dh * squashed * o * (1 - o)
            delta[:, t] = np.concatenate(slopes, -1)
            dc, dh = dc * f, delta[:, t] @ recurrent.T
        rows = delta.reshape(-1, 4 * units)
        before = h[:-1].swapaxes(0, 1).reshape(-1, units)
        return delta @ kernel.T, x.reshape(len(rows), -1).T @ rows, before.T @ rows, rows.sum(0)

    return h[1:].swapaxes(0, 1), back


@primitive
def label_losses(logits: Array, labels: Array) -> Primitive:
    shifted = logits - logits.max(-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    hot = labels[..., None] == np.arange(logits.shape[-1])
    return -np.take_along_axis(logs, labels[..., None], -1)[..., 0], lambda g: [(np.exp(logs) - hot) * g[..., None]]
