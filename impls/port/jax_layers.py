"""The layers of flax, Equinox and Haiku: what each computes, and where its weights are in Keras's layouts.

A row is `class name: Row(kind, configuration, weights)`. `configuration(layer)` gives the numbers of its formula.
`weights(layer, shapes)` gives a `Held` for each canonical weight; `shapes` has the shape of every array that the
layer owns, by its path inside the layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

TRAIN_FLAGS = ("train", "training", "is_training")  # arguments of a model that are true in training
EVAL_FLAGS = ("deterministic", "inference", "evaluate", "eval_mode")  # and false in it

NORM_ROLES = {
    "scale": "gamma",
    "weight": "gamma",
    "bias": "beta",
    "offset": "beta",
    "mean": "moving_mean",
    "var": "moving_variance",
}
ROLES = {
    "kernel": "kernel",
    "weight": "kernel",
    "w": "kernel",
    "bias": "bias",
    "b": "bias",
    "embedding": "embeddings",
    "embeddings": "embeddings",
}


class Row(NamedTuple):
    """One class of layers."""

    kind: str
    config: Callable[[Any], dict]
    weights: Callable[[Any, dict], list]


class Held:
    """One canonical weight: its role, the arrays in the layer that hold it, the way from them and back to them."""

    def __init__(self, role, names, read=None, write=None):
        self.role = role
        self.names = names
        self.read = read
        self.write = write


def nothing(layer):
    return {}


def plain(roles):
    """Every array is a weight, in the layout that it has."""

    def weights(layer, shapes):
        return [Held(roles.get(name, name), [name]) for name in shapes]

    return weights


def epsilon(layer):
    found = getattr(layer, "epsilon", getattr(layer, "eps", None))
    return {"epsilon": float(found)}


def groups_of_norm(layer):
    return {**epsilon(layer), "groups": getattr(layer, "num_groups", None) or getattr(layer, "groups", 1)}


def batch_norm(layer):
    return {**epsilon(layer), "momentum": float(layer.momentum)}


def rate(layer):
    return {"rate": float(layer.rate)}


def as_list(value, axes=2):
    """2 means (2, 2), and a word stays a word."""
    if value is None:
        return [1] * axes
    if isinstance(value, int):
        return [value] * axes
    return value if isinstance(value, str) else [list(v) if isinstance(v, tuple) else v for v in value]


# flax: linen and nnx


def general_weights(layer, shapes):
    """A product over several axes, such as the heads of attention: (in, out) whatever axes both are."""
    if getattr(layer, "batch_dims", ()) or getattr(layer, "batch_axis", None):
        return plain(ROLES)(layer, shapes)
    axis = getattr(layer, "axis", -1)
    count = 1 if isinstance(axis, int) else len(axis)
    kernel = shapes["kernel"]
    found = [flat_array("kernel", "kernel", kernel, (size(kernel[:count]), size(kernel[count:])))]
    if "bias" in shapes:
        found.append(flat_array("bias", "bias", shapes["bias"], (size(shapes["bias"]),)))
    return found


def flat_array(role, name, shape, canonical):
    return Held(role, [name], lambda arrays: arrays[0].reshape(canonical), lambda array: [array.reshape(shape)])


def size(shape):
    return int(np.prod(shape))


def flax_convolution(layer):
    size = as_list(layer.kernel_size)
    return {
        "window": size,
        "strides": as_list(layer.strides, len(size)),
        "padding": as_list(layer.padding, len(size)),
        "dilation": as_list(getattr(layer, "kernel_dilation", 1), len(size)),
        "groups": getattr(layer, "feature_group_count", 1),
    }


def flax_transposed_weights(layer, shapes):
    """(H, W, in, out), not flipped unless `transpose_kernel`, when it is (H, W, out, in) and flipped as in Keras."""
    if layer.transpose_kernel:
        return plain(ROLES)(layer, shapes)
    return [flipped_kernel("kernel", shapes["kernel"]), *plain(ROLES)(layer, without(shapes, "kernel"))]


def flipped_kernel(name, shape):
    axes = tuple(range(len(shape) - 2))

    def turn(array):
        return np.flip(array, axes).swapaxes(-1, -2)

    return Held("kernel", [name], lambda arrays: turn(arrays[0]), lambda array: [turn(array)])


def groups_of(layer):
    return getattr(layer, "feature_group_count", getattr(layer, "groups", 1)) or 1


def depthwise(layer, kernel):
    """Whether each group of this (*window, in of a group, out) is one channel."""
    return kernel[-2] == 1 and groups_of(layer) > 1


def convolution_weights(name):
    """(*window, in, out); a depthwise kernel is (*window, channels, multiplier) in Keras."""

    def weights(layer, shapes):
        shape = shapes[name]
        if not (depthwise(layer, shape) or isinstance_by_name(layer, "DepthwiseConvND")):
            return plain(ROLES)(layer, shapes)
        channels = shape[-1] // layer.channel_multiplier if hasattr(layer, "channel_multiplier") else groups_of(layer)
        kernel = depthwise_kernel(name, shape, channels)
        return [kernel, *plain(ROLES)(layer, without(shapes, name))]

    return weights


def depthwise_kernel(name, shape, channels):
    canonical = (*shape[:-2], channels, shape[-1] // channels)
    return Held("kernel", [name], lambda arrays: arrays[0].reshape(canonical), lambda array: [array.reshape(shape)])


def isinstance_by_name(layer, name):
    return any(c.__name__ == name for c in type(layer).__mro__)


def kind_of(row, layer, shapes):
    """`conv2d` and the like by the kernel's axes."""
    if row.kind not in ("conv", "conv_transpose"):
        return row.kind
    kernel = next(shapes[name] for name in ("kernel", "weight", "w") if name in shapes)
    axes = len(kernel) - 2
    if row.kind == "conv_transpose":
        return f"conv{axes}d_transpose"
    per_group = kernel[1] if "weight" in shapes else kernel[-2]
    one = per_group == 1 and (groups_of(layer) > 1 or isinstance_by_name(layer, "DepthwiseConvND"))
    return f"depthwise_conv{axes}d" if one else f"conv{axes}d"


def without(shapes, *names):
    return {name: shape for name, shape in shapes.items() if name not in names}


def blocks(role, names, order=None):
    """A weight whose blocks along the last axis are arrays: the gates of a recurrent layer."""
    order = order or range(len(names))
    back = np.argsort(list(order))

    def read(arrays):
        return np.concatenate([arrays[at] for at in order], -1)

    def write(array):
        parts = np.split(array, len(names), -1)
        return [parts[at] for at in back]

    return Held(role, names, read, write)


def reordered(role, name, order, transpose=False):
    """A weight whose gates lie in another order in one array, or in its transpose."""
    back = np.argsort(order)

    def turn(array, places):
        parts = np.split(array, len(places), -1)
        return np.concatenate([parts[at] for at in places], -1)

    def read(arrays):
        return turn(arrays[0].T if transpose else arrays[0], order)

    def write(array):
        found = turn(array, back)
        return [found.T if transpose else found]

    return Held(role, [name], read, write)


GATES = ("i", "f", "g", "o")


def flax_lstm_weights(layer, shapes):
    """One array a gate (i, f, g, o), or one for all; the bias is the recurrent one."""
    if "dense_i/kernel" in shapes:
        names = [("kernel", "dense_i/kernel"), ("recurrent_kernel", "dense_h/kernel"), ("bias", "dense_h/bias")]
        return [Held(role, [name]) for role, name in names if name in shapes]
    found = []
    for role, side, array in (("kernel", "i", "kernel"), ("recurrent_kernel", "h", "kernel"), ("bias", "h", "bias")):
        names = [first_of(shapes, f"{side}{gate}/{array}", f"{side}{gate}_/{array}") for gate in GATES]
        if None not in names:
            found.append(blocks(role, names))
    return found


def first_of(shapes, *names):
    return next((name for name in names if name in shapes), None)


def flax_gru_weights(layer, shapes):
    """r, z, n; the input's kernels have the biases of r and z, n has one on either side (torch's GRU without two)."""
    if "dense_i/kernel" in shapes:
        return flax_gru_in_two(shapes)
    found = [blocks("kernel", ["iz/kernel", "ir/kernel", "in/kernel"])]
    found.append(blocks("recurrent_kernel", ["hz/kernel", "hr/kernel", "hn/kernel"]))
    if "in/bias" in shapes:
        found.append(two_biases(["iz/bias", "ir/bias", "in/bias", "hn/bias"]))
    return found


def two_biases(names):
    """(2, 3 units): the input's bias of z, r, h, and the recurrent one, which is zero but for h."""

    def read(arrays):
        nothing_there = np.zeros_like(arrays[0])
        return np.stack([np.concatenate(arrays[:3]), np.concatenate([nothing_there, nothing_there, arrays[3]])])

    def write(array):
        ours, recurrent = (np.split(row, 3) for row in array)
        return [ours[0] + recurrent[0], ours[1] + recurrent[1], ours[2], recurrent[2]]

    return Held("bias", names, read, write)


ZRN = (1, 0, 2)  # where z, r, n lie in r, z, n


def flax_gru_in_two(shapes):
    found = [reordered("kernel", "dense_i/kernel", ZRN), reordered("recurrent_kernel", "dense_h/kernel", ZRN)]
    if "dense_i/bias" not in shapes:
        return found
    names = ["dense_i/bias", "dense_h/bias"]
    if "dense_h/bias" not in shapes:
        return [*found, reordered("bias", names[0], ZRN)]

    def turn(array):
        parts = np.split(array, 3, -1)
        return np.concatenate([parts[at] for at in ZRN], -1)

    def write(array):
        return [turn(array[0]), turn(array[1])]

    return [*found, Held("bias", names, lambda arrays: turn(np.stack(arrays)), write)]


def flax_simple_weights(layer, shapes):
    names = [("kernel", ("i/kernel", "dense_i/kernel")), ("recurrent_kernel", ("h/kernel", "dense_h/kernel")),
             ("bias", ("i/bias", "dense_i/bias"))]  # fmt: skip
    found = [(role, first_of(shapes, *both)) for role, both in names]
    return [Held(role, [name]) for role, name in found if name is not None]


FLAX = {
    "Dense": Row("dense", nothing, plain(ROLES)),
    "DenseGeneral": Row("dense", nothing, general_weights),
    "Linear": Row("dense", nothing, plain(ROLES)),
    "LinearGeneral": Row("dense", nothing, general_weights),
    "Einsum": Row("dense", nothing, plain(ROLES)),
    "Conv": Row("conv", flax_convolution, convolution_weights("kernel")),
    "ConvTranspose": Row("conv_transpose", flax_convolution, flax_transposed_weights),
    "Embed": Row("embedding", nothing, plain(ROLES)),
    "BatchNorm": Row("batchnorm", batch_norm, plain(NORM_ROLES)),
    "LayerNorm": Row("layernorm", epsilon, plain(NORM_ROLES)),
    "RMSNorm": Row("rmsnorm", epsilon, plain(NORM_ROLES)),
    "GroupNorm": Row("groupnorm", groups_of_norm, plain(NORM_ROLES)),
    "InstanceNorm": Row("instancenorm", epsilon, plain(NORM_ROLES)),
    "PReLU": Row("prelu", nothing, plain({"negative_slope": "alpha"})),
    "LSTMCell": Row("lstm", nothing, flax_lstm_weights),
    "OptimizedLSTMCell": Row("lstm", nothing, flax_lstm_weights),
    "GRUCell": Row("gru", lambda layer: {"reset_after": True}, flax_gru_weights),
    "SimpleCell": Row("simple_rnn", nothing, flax_simple_weights),
    "Dropout": Row("dropout", rate, plain({})),
}


# Equinox


def equinox_convolution(layer):
    return {
        "window": list(layer.kernel_size),
        "strides": list(layer.stride),
        "padding": as_list(layer.padding),
        "dilation": list(layer.dilation),
        "groups": layer.groups,
    }


def equinox_linear_weights(layer, shapes):
    """(out, in)."""
    kernel = Held("kernel", ["weight"], lambda arrays: arrays[0].T, lambda array: [array.T])
    return [kernel, *plain(ROLES)(layer, without(shapes, "weight"))]


def equinox_convolution_weights(layer, shapes):
    """(out, in, H, W) and (out, 1, 1)."""
    shape = shapes["weight"]
    axes = (*range(2, len(shape)), 1, 0)
    back = tuple(np.argsort(axes))
    moved = tuple(shape[axis] for axis in axes)
    canonical = moved
    if depthwise(layer, moved):
        canonical = (*moved[:-2], layer.groups, moved[-1] // layer.groups)

    def read(arrays):
        return arrays[0].transpose(axes).reshape(canonical)

    def write(array):
        return [array.reshape(moved).transpose(back)]

    return [Held("kernel", ["weight"], read, write), *equinox_bias(shapes)]


def equinox_bias(shapes):
    if "bias" not in shapes:
        return []
    shape = shapes["bias"]
    return [Held("bias", ["bias"], lambda arrays: arrays[0].reshape(-1), lambda array: [array.reshape(shape)])]


def equinox_transposed_weights(layer, shapes):
    """(out, in, H, W), not flipped: the same numbers as Keras's (H, W, out, in) flipped."""
    shape = shapes["weight"]
    windows = tuple(range(2, len(shape)))
    axes = (*windows, 0, 1)
    back = tuple(np.argsort(axes))

    def read(arrays):
        return np.flip(arrays[0], windows).transpose(axes)

    def write(array):
        return [np.flip(array.transpose(back), windows)]

    return [Held("kernel", ["weight"], read, write), *equinox_bias(shapes)]


def equinox_lstm_weights(layer, shapes):
    """(4 units, in), gates i, f, g, o."""
    order = (0, 1, 2, 3)
    found = [reordered("kernel", "weight_ih", order, True), reordered("recurrent_kernel", "weight_hh", order, True)]
    return [*found, Held("bias", ["bias"])] if "bias" in shapes else found


def equinox_gru_weights(layer, shapes):
    """(3 units, in), gates r, z, n; a bias for all and one for the recurrent side of n."""
    found = [reordered("kernel", "weight_ih", ZRN, True), reordered("recurrent_kernel", "weight_hh", ZRN, True)]
    if "bias" not in shapes:
        return found

    def turn(array):
        parts = np.split(array, 3, -1)
        return np.concatenate([parts[at] for at in ZRN], -1)

    def read(arrays):
        bias, last = arrays
        return np.stack([turn(bias), np.concatenate([np.zeros(2 * len(last)), last])])

    def write(array):
        recurrent = np.split(array[1], 3)
        both = np.concatenate([recurrent[0], recurrent[1], np.zeros_like(recurrent[2])])
        return [turn(array[0] + both), recurrent[2]]

    return [*found, Held("bias", ["bias", "bias_n"], read, write)]


EQUINOX = {
    "Linear": Row("dense", nothing, equinox_linear_weights),
    "Conv": Row("conv", equinox_convolution, equinox_convolution_weights),
    "ConvTranspose": Row("conv_transpose", equinox_convolution, equinox_transposed_weights),
    "Embedding": Row("embedding", nothing, plain({"weight": "embeddings"})),
    "BatchNorm": Row("batchnorm", lambda layer: {**batch_norm(layer), "statistics": layer.mode}, plain(NORM_ROLES)),
    "LayerNorm": Row("layernorm", epsilon, plain(NORM_ROLES)),
    "RMSNorm": Row("rmsnorm", epsilon, plain(NORM_ROLES)),
    "GroupNorm": Row("groupnorm", groups_of_norm, plain(NORM_ROLES)),
    "PReLU": Row("prelu", nothing, plain({"negative_slope": "alpha"})),
    "LSTMCell": Row("lstm", nothing, equinox_lstm_weights),
    "GRUCell": Row("gru", lambda layer: {"reset_after": True}, equinox_gru_weights),
    "Dropout": Row("dropout", lambda layer: {"rate": float(layer.p)}, plain({})),
}


# Haiku


def haiku_convolution(layer):
    size = as_list(layer.kernel_shape, layer.num_spatial_dims)
    return {
        "window": size,
        "strides": as_list(layer.stride, len(size)),
        "padding": as_list(layer.padding, len(size)),
        "dilation": as_list(getattr(layer, "kernel_dilation", 1), len(size)),
        "groups": getattr(layer, "feature_group_count", 1),
    }


def haiku_norm_weights(layer, shapes):
    """Scale and offset may be (1, 1, 1, C); the moving averages are modules below."""
    roles = {**NORM_ROLES, "mean_ema/average": "moving_mean", "var_ema/average": "moving_variance"}
    found = []
    for name, shape in shapes.items():
        if name in roles:
            found.append(flat(roles[name], name, shape))
    return found


def flat(role, name, shape):
    """A vector that its layer holds with axes of extent 1."""
    return Held(role, [name], lambda arrays: arrays[0].reshape(-1), lambda array: [array.reshape(shape)])


def haiku_transposed_weights(layer, shapes):
    """(H, W, out, in), not flipped."""
    axes = tuple(range(len(shapes["w"]) - 2))

    def turn(array):
        return np.flip(array, axes)

    kernel = Held("kernel", ["w"], lambda arrays: turn(arrays[0]), lambda array: [turn(array)])
    return [kernel, *plain(ROLES)(layer, without(shapes, "w"))]


def haiku_lstm_weights(layer, shapes):
    """Gates i, g, f, o. The rows of the input and of the state lie in one matrix: `PortOfHaiku` keeps them apart."""
    order = (0, 2, 1, 3)
    roles = {"linear/w[input]": "kernel", "linear/w[state]": "recurrent_kernel", "linear/b": "bias"}
    return [reordered(role, name, order) for name, role in roles.items() if name in shapes]


HAIKU = {
    "Linear": Row("dense", nothing, plain(ROLES)),
    "ConvND": Row("conv", haiku_convolution, convolution_weights("w")),
    "DepthwiseConvND": Row("conv", haiku_convolution, convolution_weights("w")),
    "ConvNDTranspose": Row("conv_transpose", haiku_convolution, haiku_transposed_weights),
    "Embed": Row("embedding", nothing, plain(ROLES)),
    "BatchNorm": Row(
        "batchnorm", lambda layer: {**epsilon(layer), "momentum": layer.mean_ema.decay}, haiku_norm_weights
    ),
    "LayerNorm": Row("layernorm", epsilon, plain(NORM_ROLES)),
    "RMSNorm": Row("rmsnorm", epsilon, plain(NORM_ROLES)),
    "GroupNorm": Row("groupnorm", groups_of_norm, plain(NORM_ROLES)),
    "LSTM": Row("lstm", nothing, haiku_lstm_weights),
    "GRU": Row(
        "gru", lambda layer: {"reset_after": False}, plain({"w_i": "kernel", "w_h": "recurrent_kernel", "b": "bias"})
    ),
}
