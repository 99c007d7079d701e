"""What PyTensor and Theano share, two engines of one family: a graph of symbols is differentiated and compiled.

The names are the contract's, in its order, over the symbols of `graph`; a backend adds its `Engine` and what that
computes in another way.
"""

from __future__ import annotations

import builtins
import functools
import math
import operator
from collections.abc import Sequence

import numpy as np

from impls.shim import backends
from impls.shim.backends import numpy_kernels
from impls.shim.backends.contract import (
    Array,
    Arrays,
    Axes,
    Cell,
    Columns,
    Constant,
    Differentiated,
    Function,
    Fused,
    Pair,
    WholeLayer,
)
from impls.shim.backends.numpy import (  # noqa: F401 - outside of a graph arrays are NumPy's own
    array,
    assign,
    at_trace,
    from_image,
    numpy,
    rows,
    split,
    subtract,
    to_image,
    variable,
    when,
)
from impls.shim.backends.symbolic_tensor import Tensor, elementwise, first_float, lifted

MODES: tuple[str, ...] = ("graph",)
GPU_MODES: tuple[str, ...] = ()
IMAGE = "NHWC"
HALVES: tuple[str, ...] = ()
LOOPS, LOOPED_TRAINING = False, False  # always a scan: there is nothing to choose
ROLES: dict[str, tuple[int, ...]] = {}


def zeros_like(x: Array) -> Array:
    return Tensor(x.engine, x.node.zeros_like(), x.extents) if isinstance(x, Tensor) else np.zeros_like(x)


def ones_like(x: Array) -> Array:
    return Tensor(x.engine, x.node.ones_like(), x.extents) if isinstance(x, Tensor) else np.ones_like(x)


where = elementwise("switch")
all_zeros = backends.one_by_one(zeros_like)
abs, exp, log, sqrt, tanh, sigmoid = map(elementwise, ("abs", "exp", "log", "sqrt", "tanh", "sigmoid"))


def relu(x: Array) -> Array:
    return where(x <= 0, 0.0, x)  # the engine's maximum has gradient 1 at 0


softplus, _erf = elementwise("softplus"), elementwise("erf")


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + _erf(x * 0.5**0.5))


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x * x * x)))


def _reduced(name: str, x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    axes = range(len(x.extents)) if axis is None else np.atleast_1d(axis) % len(x.extents)
    left = []
    for at, n in enumerate(x.extents):
        if at not in axes:
            left.append(n)
        elif keepdims:
            left.append(1)
    node = getattr(x.engine.tensor, name)(x.node, [int(a) for a in axes], keepdims=keepdims)
    return Tensor(x.engine, node, left)


sum, mean = functools.partial(_reduced, "sum"), functools.partial(_reduced, "mean")


def reshape(x: Array, shape: Sequence[int]) -> Array:
    known = math.prod(n for n in shape if n != -1)
    rest = None if None in x.extents else math.prod(x.extents) // max(known, 1)
    return Tensor(x.engine, x.node.reshape(tuple(shape)), (rest if n == -1 else n for n in shape))


def transpose(x: Array, axes: Sequence[int]) -> Array:
    return _turned(x, *axes)


def concatenate(*arrays: Array, axis: int = -1) -> Array:
    like = arrays[0]
    extents = list(like.extents)
    extents[axis] = builtins.sum(a.extents[axis] for a in arrays)
    return Tensor(like.engine, like.engine.tensor.concatenate([a.node for a in arrays], axis), extents)


def flip(x: Array, axis: int) -> Array:
    return x[(slice(None),) * axis + (slice(None, None, -1),)]


def _turned(x: Array, *axes: int) -> Array:
    return Tensor(x.engine, x.node.dimshuffle(*axes), (x.extents[at] for at in axes))


def _shifted(x: Array) -> Array:
    """Minus the maximum over the last axis, which has no part in the gradient."""
    top = x.engine.module.gradient.disconnected_grad(x.node.max(-1, keepdims=True))
    return x - Tensor(x.engine, top, (*x.extents[:-1], 1))


def softmax(x: Array) -> Array:
    e = exp(_shifted(x))
    return e / sum(e, -1, keepdims=True)


def stack(values: Sequence[Array]) -> Array:
    like = first_float(values)
    nodes = [lifted(value, like).node for value in values]
    return Tensor(like.engine, like.engine.tensor.stack(nodes), (len(values), *like.extents))


def argmax(x: Array) -> Array:
    return Tensor(x.engine, x.engine.tensor.argmax(x.node, -1), x.extents[:-1])


def cast(x: Array, dtype: str) -> Array:
    return Tensor(x.engine, x.engine.tensor.cast(x.node, dtype), x.extents)


def global_norm(arrays: Sequence[Array]) -> Array:
    return sqrt(functools.reduce(operator.add, [sum(a * a) for a in arrays]))


at_least, scaled = elementwise("maximum"), backends.scaled
decayed = functools.partial(backends.decayed, subtract=backends.less)


def blend(old: Array, new: Array, share: float) -> Array:
    return old + (new - old) * share


def constant(held: Constant, like: Array) -> Array:
    return lifted(held.value, like)


def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    flat = x if len(x.extents) == 2 else reshape(x, (-1, x.extents[-1]))
    y = Tensor(x.engine, flat.node.dot(w.node), (flat.extents[0], w.extents[-1]))
    if flat is not x:
        y = reshape(y, (-1, *x.extents[1:-1], w.extents[-1]))
    return y if b is None else y + b


def _windows(
    x: Array, window: Pair, stride: Pair, dilation: Pair, padding: str, fill: float = 0.0
) -> tuple[Array, Array]:
    """The windows of images, (N, OH, OW, KH KW, C), and the places that they take: those beyond the last are fill.

    One gather of rows instead of a slice for each place of the window: compiling takes as long as the graph is large.
    """
    height, width, channels = x.extents[1:]
    places = _places((height, width), window, stride, dilation, padding)  # (OH, OW, KH KW)
    table = _turned(x, 1, 2, 0, 3)
    table = Tensor(x.engine, table.node.reshape((height * width, -1, channels)), (height * width, None, channels))
    if places.max() == height * width:
        table = concatenate(table, zeros_like(table[:1]) + fill, axis=0)
    taken = table.node[places.ravel()].reshape((*places.shape, -1, channels))  # (OH, OW, KH KW, N, C)
    return _turned(Tensor(x.engine, taken, (*places.shape, None, channels)), 3, 0, 1, 2, 4), places


def _places(image: Array, window: Pair, stride: Pair, dilation: Pair, padding: str) -> Array:
    """For each window the flat indices of its places in an image; padding has the first one behind the image."""
    inside = np.arange(math.prod(image)).reshape(1, *image, 1)
    views, _ = numpy_kernels.windows(inside + 1, window, stride, dilation, padding)
    flat = views.reshape(*views.shape[1:3], -1)
    return np.where(flat > 0, flat - 1, inside.size)


def conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Array:
    views, places = _windows(x, w.extents[:2], stride, dilation, padding)
    size, filters = math.prod(w.extents[:3]), w.extents[3]
    y = dense(reshape(views, (-1, size)), reshape(w, (size, filters)), b)
    return reshape(y, (-1, *places.shape[:2], filters))


def depthwise_conv2d(x: Array, w: Array, b: Array, stride: Pair, dilation: Pair, padding: str) -> Array:
    views, places = _windows(x, w.extents[:2], stride, dilation, padding)
    each = views[..., None] * reshape(w, (places.shape[2], *w.extents[2:]))  # (N, OH, OW, KH KW, C, M)
    y = reshape(sum(each, 3), (-1, *places.shape[:2], math.prod(w.extents[2:])))
    return y if b is None else y + b


def max_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Array:
    views, places = _windows(x, window, stride, (1, 1), padding, -math.inf)
    first = argmax(_turned(views, 0, 1, 2, 4, 3))[..., None, :]  # (N, OH, OW, 1, C)
    return sum(where(first == np.arange(places.shape[2])[:, None], views, 0.0), 3)


def average_pool2d(x: Array, window: Pair, stride: Pair, padding: str) -> Array:
    views, places = _windows(x, window, stride, (1, 1), padding)
    inside = places < math.prod(x.extents[1:3])
    return sum(views, 3) / inside.sum(-1, keepdims=True).astype(x.dtype)


def batch_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> tuple[Array, Array, Array]:
    axes = tuple(range(len(x.extents) - 1))
    mu = mean(x, axes)
    centred = x - mu
    var = mean(centred * centred, axes)
    return centred * (gamma / sqrt(var + epsilon)) + beta, mu, var


def scale_shift(x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    return (x - mean) * (gamma / sqrt(variance + epsilon)) + beta


def layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    centred = x - mean(x, -1, keepdims=True)
    return centred / sqrt(mean(centred * centred, -1, keepdims=True) + epsilon) * gamma + beta


def rms_norm(x: Array, gamma: Array, epsilon: float) -> Array:
    return x / sqrt(mean(x * x, -1, keepdims=True) + epsilon) * gamma


attention = backends.refused("pytensor and theano", "attention")


def embedding(ids: Array, table: Array) -> Array:
    taken = Tensor(table.engine, table.node[ids.node.flatten()], (None, table.extents[1]))
    return reshape(taken, (-1, *ids.extents[1:], table.extents[1]))


def recur(cell: Cell, columns: Columns, units: int, states: int, unroll: bool) -> Array:
    """As a scan whatever `unroll` says: straight code takes minutes to compile."""
    engine, first = columns[0].engine, columns[0]
    known = [(c.extents[0], *c.extents[2:]) for c in columns] + [(None, units)] * states

    def step(*nodes: Array) -> Array:
        values = [Tensor(engine, node, extents) for node, extents in zip(nodes, known, strict=True)]
        return [value.node for value in cell(*values)]

    start = engine.tensor.zeros((first.node.shape[0], units), str(first.dtype))
    by_time = [c.node.swapaxes(0, 1) for c in columns]
    found = engine.scan(step, sequences=by_time, outputs_info=[start] * states, return_list=True)
    return _turned(Tensor(engine, found[0], (first.extents[1], None, units)), 1, 0, 2)


RECURRENT: dict[str, WholeLayer] = {}


def softmax_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    shifted = _shifted(logits)
    logs = shifted - log(sum(exp(shifted), -1, keepdims=True))
    losses = -1.0 * sum(where(labels[..., None] == np.arange(logits.extents[-1]), logs, 0.0), -1)
    return mean(losses) if reduce else losses


def sigmoid_cross_entropy(logits: Array, labels: Array, reduce: bool) -> Array:
    losses = softplus(logits) - logits * labels
    return mean(losses) if reduce else losses


def value_and_grad(function: Function, mode: str) -> Function:
    def call(weights: Arrays, *rest: object) -> Differentiated:
        like = first_float(list(weights.values()))
        leaves = {name: lifted(weight, like) for name, weight in weights.items()}
        loss, aux = function(leaves, *rest)
        nodes = like.engine.module.grad(loss.node, [w.node for w in leaves.values()], disconnected_inputs="ignore")
        pairs = zip(leaves.items(), nodes, strict=True)
        return (loss, aux), {name: Tensor(like.engine, node, w.extents) for (name, w), node in pairs}

    return call


FUSED: dict[str, Fused] = {}
