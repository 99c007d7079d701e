"""NumPy: the reference in float64, with gradients by a small tape and no framework installed.

A primitive computes its value and returns with it `back`, the function from the gradient of the value to the
gradients of its array arguments (the vector-Jacobian product), written out.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from impls.shim.backends import batches, python_epoch

NAME = "numpy"
MODES: tuple[str, ...] = ("eager",)
IMAGE = "NHWC"
HALVES: tuple[str, ...] = ("float16",)  # types that mixed precision can compute in
LOOPS = False  # whether recurrence can be a compiled loop
ROLES: dict[str, tuple[int, ...]] = {}  # native axes of a weight where they are not Keras's
COUNTER = itertools.count()
erf = np.frompyfunc(math.erf, 1, 1)


class Node:
    """An array on the tape: its value, the arguments it came from, and the way back to their gradients."""

    __slots__ = ("args", "back", "order", "value")
    __array_ufunc__ = None  # so that `ndarray * Node` asks the Node

    def __init__(self, value: Any, args: tuple[Any, ...] = (), back: Any = None) -> None:
        self.value, self.args, self.back, self.order = value, args, back, next(COUNTER)

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)

    def __add__(self, other: Any) -> Any:
        return add(self, other)

    def __mul__(self, other: Any) -> Any:
        return multiply(self, other)

    def __sub__(self, other: Any) -> Any:
        return add(self, multiply(other, -1.0))

    def __rsub__(self, other: Any) -> Any:
        return add(multiply(self, -1.0), other)

    def __truediv__(self, other: Any) -> Any:
        return divide(self, other)

    def __getitem__(self, index: Any) -> Any:
        return take(self, index)

    def __gt__(self, other: Any) -> Any:
        return self.value > other

    def __le__(self, other: Any) -> Any:
        return self.value <= other

    def __lt__(self, other: Any) -> Any:
        return self.value < other

    def __neg__(self) -> Any:
        return self * -1.0

    __radd__, __rmul__ = __add__, __mul__


def primitive(function: Callable[..., Any]) -> Callable[..., Any]:
    """Record a function that returns `(value, back)` or `(value, back, *constants)`."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        value, back, *constants = function(*[a.value if isinstance(a, Node) else a for a in args], **options)
        if any(isinstance(a, Node) for a in args):
            value = Node(value, args, back)
        return (value, *constants) if constants else value

    return call


def elementwise(function: Callable[..., Any], *derivatives: Callable[..., Any]) -> Callable[..., Any]:
    """A primitive from the table: one derivative an argument, each of `(*arguments, value)`."""

    @primitive
    def apply(*args: Any) -> Any:
        y = np.asarray(function(*args))
        return y, lambda g: [fit_to(g * d(*args, y), a) for a, d in zip(args, derivatives, strict=False)]

    return apply


def fit_to(gradient: Any, array: Any) -> Any:
    """Sum a gradient over the axes along which `array` was broadcast."""
    shape = np.shape(array)
    gradient = gradient.sum(tuple(range(gradient.ndim - len(shape))))
    return gradient.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True).reshape(shape)


def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


def normal_cdf(x: Any) -> Any:
    return (0.5 * (1 + erf(x / math.sqrt(2)).astype(float))).astype(x.dtype)


def tanh_form(x: Any) -> Any:
    return np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def tanh_slope(x: Any, y: Any) -> Any:
    t = tanh_form(x)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)


zeros_like, ones_like = np.zeros_like, np.ones_like
add = elementwise(np.add, lambda a, b, y: 1.0, lambda a, b, y: 1.0)
multiply = elementwise(np.multiply, lambda a, b, y: b, lambda a, b, y: a)
divide = elementwise(np.divide, lambda a, b, y: 1 / b, lambda a, b, y: -y / b)
where = elementwise(np.where, lambda c, a, b, y: 0.0, lambda c, a, b, y: c * 1.0, lambda c, a, b, y: 1.0 - c)
abs = elementwise(np.abs, lambda x, y: np.sign(x))
exp = elementwise(np.exp, lambda x, y: y)
log = elementwise(np.log, lambda x, y: 1 / x)
sqrt = elementwise(np.sqrt, lambda x, y: 0.5 / y)
tanh = elementwise(np.tanh, lambda x, y: 1 - y * y)
sigmoid = elementwise(logistic, lambda x, y: y * (1 - y))
relu = elementwise(lambda x: np.maximum(x, 0), lambda x, y: x > 0)
softplus = elementwise(lambda x: np.logaddexp(x, 0), lambda x, y: logistic(x))
gelu = elementwise(
    lambda x: x * normal_cdf(x), lambda x, y: normal_cdf(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
)
gelu_tanh = elementwise(lambda x: 0.5 * x * (1 + tanh_form(x)), tanh_slope)


@primitive
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    y = np.sum(x, axis, keepdims=keepdims)

    def back(g: Any) -> Any:
        g = g if keepdims or axis is None else np.expand_dims(g, axis)
        return [np.broadcast_to(g, x.shape)]

    return y, back


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    total = sum(x, axis, keepdims)
    return total * (max(np.size(getattr(total, "value", total)), 1) / max(math.prod(x.shape), 1))


@primitive
def take(x: Any, index: Any) -> Any:
    def back(g: Any) -> Any:
        out = np.zeros_like(x)
        out[index] = g  # a basic index: each place once
        return [out]

    return x[index], back


@primitive
def reshape(x: Any, shape: Sequence[int]) -> Any:
    return x.reshape(shape), lambda g: [g.reshape(x.shape)]


@primitive
def concatenate(*arrays: Any, axis: int = -1) -> Any:
    cuts = np.cumsum([a.shape[axis] for a in arrays])[:-1]
    return np.concatenate(arrays, axis), lambda g: np.split(g, cuts, axis)


def split(x: Any, parts: int) -> Any:
    """Equal parts along the last axis."""
    size = x.shape[-1] // parts
    return [take(x, (..., slice(i * size, (i + 1) * size))) for i in range(parts)]


@primitive
def flip(x: Any, axis: int) -> Any:
    return np.flip(x, axis), lambda g: [np.flip(g, axis)]


@primitive
def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    y = e / e.sum(-1, keepdims=True)
    return y, lambda g: [y * (g - (g * y).sum(-1, keepdims=True))]


def stack(values: Sequence[Any]) -> Any:
    return np.stack([getattr(v, "value", v) for v in values])


def argmax(x: Any) -> Any:
    return getattr(x, "value", x).argmax(-1)


@primitive
def cast(x: Any, dtype: str) -> Any:
    """`x` in the type called `dtype`."""
    return x.astype(dtype), lambda g: [g.astype(x.dtype)]


def rows(column: Any, order: Any) -> Any:
    """The examples of a column in another order."""
    return column[order]


def global_norm(arrays: Sequence[Any]) -> Any:
    """The 2-norm of all arrays taken as one vector."""
    return np.sqrt(np.sum([np.sum(a * a) for a in arrays]))


def at_least(x: Any, limit: float) -> Any:
    return np.maximum(x, limit)


def scaled(arrays: list[Any], factor: Any) -> list[Any]:
    return [a * factor for a in arrays]


def blend(old: Any, new: Any, share: float) -> Any:
    """`old` with a `share` of `new` in its place."""
    return old * (1 - share) + new * share


def array(value: Any, dtype: str | None = None, device: str = "cpu") -> Any:
    """NumPy to the backend's own array; integers in the type that the backend indexes with."""
    return np.asarray(value, dtype if value.dtype.kind == "f" else np.int64)


def variable(value: Any, role: str, dtype: str, device: str = "cpu") -> Any:
    """A canonical weight as a native one that a step can update."""
    return np.array(value, dtype)


def assign(old: Any, new: Any) -> Any:
    """The weight `old` after an update: its own storage where the backend updates in place."""
    return new


def subtract(weight: Any, step: Any) -> Any:
    """The weight after an update by `step`, in its own storage where the backend updates in place."""
    return weight - step


def numpy(value: Any, role: str = "") -> Any:
    """Wait for a native array; canonical axes."""
    return np.asarray(getattr(value, "value", value))


def to_image(x: Any) -> Any:
    """From (N, H, W, C) to what the backend's image layers compute on."""
    return x


def from_image(x: Any) -> Any:
    return x


@primitive
def dense(x: Any, w: Any, b: Any = None) -> Any:
    """x @ w + b over the last axis."""

    def back(g: Any) -> Any:
        rows, errors = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
        return g @ w.T, rows.T @ errors, None if b is None else errors.sum(0)

    return x @ w if b is None else x @ w + b, back


def _pads(size: int, window: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """TensorFlow's SAME: the output has ceil(size / stride) places and the odd zero goes behind; VALID: none."""
    reach = (window - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0) if padding == "same" else 0
    return total // 2, total - total // 2


def _windows(x: Any, window: Any, stride: Any, dilation: Any, padding: str, fill: float = 0.0) -> tuple[Any, Any]:
    """The views (N, OH, OW, KH, KW, C) of `x`, and the sum of gradients of such views back to `x`."""
    edge = [_pads(*sizes, padding) for sizes in zip(x.shape[1:3], window, stride, dilation, strict=False)]
    padded = np.pad(x, [(0, 0), *edge, (0, 0)], constant_values=fill)
    reach = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=False)]
    views = np.lib.stride_tricks.sliding_window_view(padded, reach, (1, 2))
    views = views[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]].transpose(0, 1, 2, 4, 5, 3)
    rows, columns = views.shape[1:3]

    def back(g: Any) -> Any:
        out = np.zeros_like(padded)
        for i, j in np.ndindex(*window):
            top, left = i * dilation[0], j * dilation[1]
            out[:, top : top + rows * stride[0] : stride[0], left : left + columns * stride[1] : stride[1]] += g[
                :, :, :, i, j
            ]
        return out[:, edge[0][0] : edge[0][0] + x.shape[1], edge[1][0] : edge[1][0] + x.shape[2]]

    return views, back


@primitive
def conv2d(x: Any, w: Any, b: Any, stride: Any, dilation: Any, padding: str) -> Any:
    """Cross-correlation of (N, H, W, C) with (KH, KW, C, F)."""
    views, spread = _windows(x, w.shape[:2], stride, dilation, padding)
    flat = views.reshape(-1, w[..., 0].size)  # (N OH OW, KH KW C)
    matrix = w.reshape(-1, w.shape[-1])
    y = (flat @ matrix).reshape(*views.shape[:3], -1)

    def back(g: Any) -> Any:
        errors = g.reshape(-1, g.shape[-1])
        return spread((errors @ matrix.T).reshape(views.shape)), (flat.T @ errors).reshape(w.shape), errors.sum(0)

    return y if b is None else y + b, back


@primitive
def depthwise_conv2d(x: Any, w: Any, b: Any, stride: Any, dilation: Any, padding: str) -> Any:
    """Each channel by its own M kernels, (KH, KW, C, M): (N, OH, OW, C M)."""
    views, spread = _windows(x, w.shape[:2], stride, dilation, padding)
    y = np.einsum("nhwijc,ijcm->nhwcm", views, w)

    def back(g: Any) -> Any:
        e = g.reshape(y.shape)
        ways = np.einsum("nhwcm,ijcm->nhwijc", e, w), np.einsum("nhwijc,nhwcm->ijcm", views, e)
        return spread(ways[0]), ways[1], g.sum((0, 1, 2))

    return y.reshape(*y.shape[:3], -1) + (0 if b is None else b), back


@primitive
def max_pool2d(x: Any, window: Any, stride: Any, padding: str) -> Any:
    """The gradient of a tie goes to the first maximum in row-major order, as in TensorFlow and torch."""
    views, spread = _windows(x, window, stride, (1, 1), padding, -np.inf)
    flat = views.reshape(*views.shape[:3], -1, x.shape[-1])  # (N, OH, OW, KH KW, C)
    first = flat.argmax(3)[..., None, :]

    def back(g: Any) -> Any:
        return [spread((g[..., None, :] * (np.arange(flat.shape[3])[:, None] == first)).reshape(views.shape))]

    return np.take_along_axis(flat, first, 3)[..., 0, :], back


@primitive
def average_pool2d(x: Any, window: Any, stride: Any, padding: str) -> Any:
    """The padding is not counted."""
    views, spread = _windows(x, window, stride, (1, 1), padding)
    count = _windows(np.ones_like(x), window, stride, (1, 1), padding)[0].sum((3, 4))
    return views.sum((3, 4)) / count, lambda g: [spread(np.broadcast_to((g / count)[..., None, None, :], views.shape))]


def image_mean(x: Any) -> Any:
    """(N, H, W, C) to (N, C)."""
    return mean(x, (1, 2))


@primitive
def batch_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """Normalise each channel by its own batch; also the batch's mean and biased variance."""
    axes = tuple(range(x.ndim - 1))
    mu, var = x.mean(axes), x.var(axes)
    scale = 1 / np.sqrt(var + epsilon)
    z = (x - mu) * scale

    def back(g: Any) -> Any:
        slope = g - g.mean(axes) - z * (g * z).mean(axes)
        return gamma * scale * slope, (g * z).sum(axes), g.sum(axes)

    return gamma * z + beta, back, mu, var


def scale_shift(x: Any, mean: Any, variance: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """Normalise each channel by given statistics."""
    return (x - mean) * (gamma / sqrt(variance + epsilon)) + beta


@primitive
def layer_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    scale = 1 / np.sqrt(x.var(-1, keepdims=True) + epsilon)
    z = (x - x.mean(-1, keepdims=True)) * scale

    def back(g: Any) -> Any:
        h, axes = g * gamma, tuple(range(x.ndim - 1))
        slope = h - h.mean(-1, keepdims=True) - z * (h * z).mean(-1, keepdims=True)
        return scale * slope, (g * z).sum(axes), g.sum(axes)

    return gamma * z + beta, back


@primitive
def embedding(ids: Any, table: Any) -> Any:
    def back(g: Any) -> Any:
        out = np.zeros_like(table)
        np.add.at(out, ids, g)
        return None, out

    return table[ids], back


@primitive
def _stacked(*rows: Any) -> Any:
    return np.stack(rows, 1), lambda g: list(np.moveaxis(g, 1, 0))


def unrolls(training: bool) -> bool:
    """Whether recurrence is straight code where nobody says."""
    return True


def recur(cell: Callable[..., Any], drive: Any, units: int, states: int, mask: Any, unroll: bool) -> Any:
    """`states = cell(row, *states)` over the rows of drive (N, T, K), from zeros: the first state of each, (N, T, H).

    Where the mask (N, T) is false the states stay as they were.
    """
    old = (np.zeros((drive.shape[0], units), drive.dtype),) * states
    outputs = []
    for t in range(drive.shape[1]):
        new = cell(take(drive, (slice(None), t)), *old)
        old = new if mask is None else tuple(where(mask[:, t, None], n, o) for n, o in zip(new, old, strict=False))
        outputs.append(old[0])
    return _stacked(*outputs)


@primitive
def _lstm(x: Any, kernel: Any, recurrent: Any, bias: Any, unroll: bool | None = None) -> Any:
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

    def back(errors: Any) -> Any:
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


RECURRENT: dict[str, Any] = {"lstm": _lstm}  # layers that the backend has whole


@primitive
def _label_losses(logits: Any, labels: Any) -> Any:
    shifted = logits - logits.max(-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    hot = labels[..., None] == np.arange(logits.shape[-1])
    return -np.take_along_axis(logs, labels[..., None], -1)[..., 0], lambda g: [(np.exp(logs) - hot) * g[..., None]]


def softmax_cross_entropy(logits: Any, labels: Any, reduce: bool) -> Any:
    """-log softmax(logits)[label] for each label, or the mean of that."""
    losses = _label_losses(logits, labels)
    return mean(losses) if reduce else losses


def sigmoid_cross_entropy(logits: Any, labels: Any, reduce: bool) -> Any:
    """-log of the probability of each label in [0, 1], or the mean of that."""
    losses = softplus(logits) - logits * labels
    return mean(losses) if reduce else losses


def value_and_grad(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """`function(weights, *rest)` returns `(loss, aux)`; the result's call returns `((loss, aux), gradients)`."""
    return lambda weights, *rest: _backward(function, weights, rest)


def _backward(function: Callable[..., Any], weights: dict[str, Any], rest: Any) -> Any:
    leaves = {name: Node(value) for name, value in weights.items()}
    loss, aux = function(leaves, *rest)
    known, waiting = {loss.order: np.ones_like(loss.value)}, {loss.order: loss}
    while waiting:  # newest first: every user of a node is newer than the node
        order = max(waiting)
        node = waiting.pop(order)
        for parent, gradient in zip(node.args, node.back(known[order]) if node.back else (), strict=False):
            if isinstance(parent, Node):
                known[parent.order] = known.get(parent.order, 0) + gradient
                waiting[parent.order] = parent
    grads = {name: np.asarray(known.get(leaf.order, np.zeros_like(leaf.value))) for name, leaf in leaves.items()}
    return (loss.value, aux), grads


def at_trace(note: Callable[[], None]) -> Callable[[], None]:
    """`note` as a call that happens when the function around it is traced, not whenever that runs."""
    return note


def compile(step: Callable[..., Any], carry: Any, mode: str) -> Callable[..., Any]:
    """`run(carry, rates, columns)` -> `(carry, values)`: one step as one call."""
    return step


def compile_epoch(step: Callable[..., Any], carry: Any, mode: str, shape: tuple[int, ...]) -> Callable[..., Any]:
    """`run(carry, rates, columns, batch)` -> `(carry, values)` of `shape`: an epoch as one call; sums over examples."""
    return python_epoch(step, batches, np.stack)


def compile_inference(function: Callable[..., Any], carry: Any, mode: str) -> Callable[..., Any]:
    """`run(carry, columns)`: a function that changes nothing, as one call."""
    return function


def fused(name: str) -> Callable[..., Any] | None:
    """An optimizer's update of all weights in place, where the backend has kernels for it."""
    return None
