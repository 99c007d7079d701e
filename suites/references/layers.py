"""Layers by their formulas: each a function of its options, its weights by their short names, its inputs and the pass.

Images are (N, H, W, C), sequences (N, T, features). Defaults stand in `suites.references.defaults`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from suites.references import attention, further_layers
from suites.references.activations import activated, sigmoid
from suites.references.defaults import LAYERS as DEFAULTS

Array = Any  # of NumPy, of real or complex numbers
Weights = dict[str, Array]


@dataclass
class Pass:
    """One pass through a network: training or not, the mask of the value at hand, dropout masks, new statistics."""

    training: bool
    noise: dict[str, Array] = field(default_factory=dict)
    moved: Weights = field(default_factory=dict)
    mask: Array | None = None
    masks: list[Any] = field(default_factory=list)  # of every input of the layer at hand


def both(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def taps(size: int, window: int, stride: int, dilation: int, padding: str) -> Array:
    """The places of the input that each output place sees, (places, window); -1 where there is padding.

    SAME has ceil(size / stride) places, and the odd one of the padding is behind.
    """
    reach, before = (window - 1) * dilation + 1, 0
    places = (size - reach) // stride + 1
    if padding == "same":
        places = math.ceil(size / stride)
        before = max((places - 1) * stride + reach - size, 0) // 2
    index = np.arange(places)[:, None] * stride + np.arange(window) * dilation - before
    return np.where((index < 0) | (index >= size), -1, index)


def seen(x: Array, o: dict[str, Any], window: Any, fill: float = 0.0) -> Array:
    """What each window sees: (N, OH, KH, OW, KW, C)."""
    padding, strides, dilation = o["padding"], both(o["strides"]), both(o.get("dilation_rate", 1))
    rows, columns = (taps(x.shape[1 + axis], window[axis], strides[axis], dilation[axis], padding) for axis in (0, 1))
    padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=fill)  # the place -1
    return padded[:, rows][:, :, :, columns]


def dense(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    y = np.einsum("...i,io->...o", x, w["kernel"])
    return activated(o["activation"], y + w["bias"] if o["use_bias"] else y)


def conv2d(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    y = np.einsum("niajbc,abcf->nijf", seen(x, o, both(o["kernel_size"])), w["kernel"])
    return activated(o["activation"], y + w["bias"] if o["use_bias"] else y)


def depthwise_conv2d(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    y = np.einsum("niajbc,abcm->nijcm", seen(x, o, both(o["kernel_size"])), w["kernel"])
    y = y.reshape(*y.shape[:3], -1)
    return activated(o["activation"], y + w["bias"] if o["use_bias"] else y)


def pooling(o: dict[str, Any]) -> dict[str, Any]:
    """A pooling's options, its strides those of its window where none are given."""
    return {**o, "strides": o["pool_size"] if o["strides"] is None else o["strides"]}


def max_pool2d(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    """At a tie the first of the window, row by row, which takes the whole gradient."""
    views = seen(x, pooling(o), both(o["pool_size"]), -np.inf)
    n, oh, kh, ow, kw, c = views.shape
    flat = views.transpose(0, 1, 3, 2, 4, 5).reshape(n, oh, ow, kh * kw, c)
    first = flat.real.argmax(3)
    return np.take_along_axis(flat, first[:, :, :, None], 3)[:, :, :, 0]


def average_pool2d(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    """The mean of the places that are not padding."""
    window = both(o["pool_size"])
    count = seen(np.ones_like(x), pooling(o), window).sum((2, 4))
    return seen(x, pooling(o), window).sum((2, 4)) / count


def mask_of(kind: str, masks: list[Any]) -> Any:
    """What a layer gives on: of a sum and of what is side by side, where any input has a place, if all have masks."""
    known = [mask for mask in masks if mask is not None]
    if kind not in ("Add", "Concatenate"):
        return known[0] if known else None
    return np.logical_or.reduce(known) if len(known) == len(masks) else None


def global_average_pool2d(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    return x.sum((1, 2)) / (x.shape[1] * x.shape[2])


def batch_norm(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    """Ioffe and Szegedy (2015), algorithm 1, over all axes but the last one; Keras's running averages."""
    mean, variance = w["moving_mean"], w["moving_variance"]
    if run.training and o["trainable"]:
        rows, count = x.reshape(-1, x.shape[-1]), np.asarray(x[..., 0].size, float)
        if run.mask is not None:  # of the places that are kept, and Keras's epsilon
            rows, count = x[run.mask], run.mask.sum() + 1e-7
        mean = rows.sum(0) / count
        variance = ((rows - mean) ** 2).sum(0) / count
        for name, batch in (("moving_mean", mean), ("moving_variance", variance)):
            run.moved[name] = (o["momentum"] * w[name] + (1 - o["momentum"]) * batch).real
    return w["gamma"] * (x - mean) / np.sqrt(variance + o["epsilon"]) + w["beta"]


def layer_norm(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    """Ba et al. (2016), over the last axis."""
    mean = x.sum(-1, keepdims=True) / x.shape[-1]
    variance = ((x - mean) ** 2).sum(-1, keepdims=True) / x.shape[-1]
    return w["gamma"] * (x - mean) / np.sqrt(variance + o["epsilon"]) + w["beta"]


def activation(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    return activated(o["activation"], x)


def relu(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    return activated("relu", x)


def dropout(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    """Srivastava et al. (2014), inverted: what is kept is divided by the share that is."""
    return x * run.noise[o["name"]] / (1 - o["rate"]) if run.training and o["rate"] else x


def flatten(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    run.mask = None
    return x.reshape(len(x), -1)


def reshape(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    run.mask = None
    return x.reshape(len(x), *o["target_shape"])


def embedding(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    if o["mask_zero"]:
        run.mask = x != 0
    return w["embeddings"][x]


def add(o: dict[str, Any], w: Weights, x: Sequence[Array], run: Pass) -> Array:
    total = np.zeros_like(x[0])
    for each in x:
        total = total + each
    return total


def concatenate(o: dict[str, Any], w: Weights, x: Sequence[Array], run: Pass) -> Array:
    return np.concatenate(list(x), -1)


def simple_cell(o: dict[str, Any], w: Weights, x: Array, states: list[Array]) -> list[Array]:
    """Elman (1990)."""
    return [activated(o["activation"], x @ w["kernel"] + states[0] @ w["recurrent_kernel"] + w["bias"])]


def lstm_cell(o: dict[str, Any], w: Weights, x: Array, states: list[Array]) -> list[Array]:
    """Gers et al. (2000); blocks i, f, c, o of the kernels."""
    h, c = states
    units = o["units"]
    z = x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]
    i, f, g, out = (z[:, at * units : (at + 1) * units] for at in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return [sigmoid(out) * np.tanh(c), c]


def gru_cell(o: dict[str, Any], w: Weights, x: Array, states: list[Array]) -> list[Array]:
    """Cho et al. (2014), equations 5 to 8; blocks z, r, h. `reset_after`: cuDNN's form, with two biases."""
    (h,), units = states, o["units"]
    z_, r_, n_ = (slice(at * units, (at + 1) * units) for at in range(3))
    k, u, b = w["kernel"], w["recurrent_kernel"], w["bias"]
    after = o["reset_after"]
    b, late = (b[0], b[1]) if after else (b, np.zeros(3 * units))
    z = sigmoid(x @ k[:, z_] + b[z_] + h @ u[:, z_] + late[z_])
    r = sigmoid(x @ k[:, r_] + b[r_] + h @ u[:, r_] + late[r_])
    through = r * (h @ u[:, n_] + late[n_]) if after else (r * h) @ u[:, n_]
    candidate = np.tanh(x @ k[:, n_] + b[n_] + through)
    return [z * h + (1 - z) * candidate]


CELLS: dict[str, tuple[Callable[..., list[Array]], int]] = {  # with the number of their states
    "SimpleRNN": (simple_cell, 1),
    "LSTM": (lstm_cell, 2),
    "GRU": (gru_cell, 1),
}


def over_time(kind: str, o: dict[str, Any], w: Weights, x: Array, mask: Array | None) -> Array:
    """The first state after each step, in the order in which the steps are done: (N, T, units)."""
    cell, count = CELLS[kind]
    states = [np.zeros((len(x), o["units"]), x.dtype)] * count
    order = range(x.shape[1] - 1, -1, -1) if o["go_backwards"] else range(x.shape[1])
    outputs = []
    for t in order:
        new = cell(o, w, x[:, t], states)
        if mask is not None:
            new = [np.where(mask[:, t, None], after, before) for after, before in zip(new, states, strict=True)]
        states = new
        outputs.append(states[0])
    return np.stack(outputs, 1)


def recurrent(kind: str) -> Callable[..., Array]:
    def layer(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
        outputs = over_time(kind, o, w, x, run.mask)
        if o["return_sequences"]:
            if o["go_backwards"] and run.mask is not None:
                raise ValueError("no convention: the mask of a sequence that is told backwards")
            return outputs
        run.mask = None
        return outputs[:, -1]

    return layer


def bidirectional(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    """Schuster and Paliwal (1997): both directions side by side, each at the step that it belongs to."""
    inner = with_defaults({"name": "", **o["layer"]})
    sides = []
    for name, backwards in (("forward", inner["go_backwards"]), ("backward", not inner["go_backwards"])):
        own = {key.partition("/")[2]: value for key, value in w.items() if key.startswith(name)}
        y = over_time(inner["kind"], {**inner, "go_backwards": backwards}, own, x, run.mask)
        if inner["return_sequences"]:
            sides.append(y[:, ::-1] if name == "backward" else y)
        else:
            sides.append(y[:, -1])
    both = np.concatenate(sides, -1)
    if run.mask is not None and inner["return_sequences"]:  # Keras's, of both directions alone
        both = np.where(run.mask[..., None], both, 0)
    if not inner["return_sequences"]:
        run.mask = None
    return both


def separable_conv2d(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    alone = {**o, "activation": None, "use_bias": False}
    y = depthwise_conv2d(alone, {"kernel": w["depthwise_kernel"]}, x, run) @ w["pointwise_kernel"][0, 0]
    return activated(o["activation"], y + w["bias"] if o["use_bias"] else y)


def time_distributed(o: dict[str, Any], w: Weights, x: Array, run: Pass) -> Array:
    """Place by place, each with its part of a mask; running statistics move once at each."""
    inner = with_defaults({"name": o["name"], **o["layer"]})
    own = {key.partition("/")[2]: value for key, value in w.items()}
    if inner["kind"] == "Dropout":  # every place by what is kept of it
        return dropout(inner, own, x, run)
    steps = []
    for t in range(x.shape[1]):
        within = Pass(run.training, mask=None if run.mask is None else run.mask[:, t])
        steps.append(REFERENCES[inner["kind"]](inner, own, x[:, t], within))
        own.update(within.moved)
    run.moved.update((f"layer/{name}", value) for name, value in own.items() if name.startswith("moving"))
    if run.mask is not None and run.mask.ndim > steps[0].ndim:
        run.mask = None
    return np.stack(steps, 1)


REFERENCES: dict[str, Callable[..., Array]] = {
    "Conv1D": further_layers.conv1d,
    "Conv2DTranspose": further_layers.conv2d_transpose,
    "GlobalAveragePool1D": further_layers.global_average_pool1d,
    "GlobalMaxPool1D": further_layers.global_max_pool1d,
    "GlobalMaxPool2D": further_layers.global_max_pool2d,
    "GroupNorm": further_layers.group_norm,
    "PReLU": further_layers.prelu,
    "SeparableConv2D": separable_conv2d,
    "SpatialDropout": further_layers.spatial_dropout,
    "TimeDistributed": time_distributed,
    "UpSampling2D": further_layers.up_sampling2d,
    "ZeroPadding2D": further_layers.zero_padding2d,
    "Activation": activation,
    "Add": add,
    "AveragePool2D": average_pool2d,
    "BatchNorm": batch_norm,
    "Bidirectional": bidirectional,
    "Concatenate": concatenate,
    "Conv2D": conv2d,
    "Dense": dense,
    "DepthwiseConv2D": depthwise_conv2d,
    "Dropout": dropout,
    "Embedding": embedding,
    "Flatten": flatten,
    "GRU": recurrent("GRU"),
    "GlobalAveragePool2D": global_average_pool2d,
    "LSTM": recurrent("LSTM"),
    "LayerNorm": layer_norm,
    "MaxPool2D": max_pool2d,
    "MultiHeadAttention": attention.multi_head_attention,
    "PositionEmbedding": attention.position_embedding,
    "RMSNorm": attention.rms_norm,
    "ReLU": relu,
    "Reshape": reshape,
    "SimpleRNN": recurrent("SimpleRNN"),
    "TiedHead": attention.tied_head,
}


def with_defaults(described: dict[str, Any]) -> dict[str, Any]:
    """A layer's description with the options that it leaves out, as the documentation has them."""
    return {"trainable": True, **DEFAULTS.get(described["kind"], {}), **described}
