"""The layers of flax, linen and nnx: what each computes, and where its weights are in Keras's layouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from impls.port.jax_layers import (
    NORM_ROLES,
    ROLES,
    ZRN,
    Held,
    OneBias,
    Row,
    as_list,
    batch_norm,
    blocks,
    convolution_weights,
    epsilon,
    groups_of_norm,
    nothing,
    plain,
    rate,
    reordered,
    without,
)
from impls.port.ways import folded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impls.port.annotations import Config, Native, Shape, Shapes


def general_weights(layer: Native, shapes: Shapes) -> list[Held]:
    """A product over several axes, such as the heads of attention: (in, out) whatever axes both are."""
    if getattr(layer, "batch_dims", ()) or getattr(layer, "batch_axis", None):
        return plain(ROLES)(layer, shapes)
    axis = getattr(layer, "axis", -1)
    count = 1 if isinstance(axis, int) else len(axis)
    kernel = shapes["kernel"]
    found = [Held("kernel", ["kernel"], *folded(kernel, (size(kernel[:count]), size(kernel[count:]))))]
    if "bias" in shapes:
        found.append(Held("bias", ["bias"], *folded(shapes["bias"], (-1,))))
    return found


def size(shape: Sequence[int]) -> int:
    return int(np.prod(shape))


def flax_convolution(layer: Native) -> Config:
    size = as_list(layer.kernel_size)
    return {
        "window": size,
        "strides": as_list(layer.strides, len(size)),
        "padding": as_list(layer.padding, len(size)),
        "dilation": as_list(getattr(layer, "kernel_dilation", 1), len(size)),
        "groups": getattr(layer, "feature_group_count", 1),
    }


def flax_transposed_weights(layer: Native, shapes: Shapes) -> list[Held]:
    """(H, W, in, out), not flipped unless `transpose_kernel`, when it is (H, W, out, in) and flipped as in Keras."""
    if layer.transpose_kernel:
        return plain(ROLES)(layer, shapes)
    return [flipped_kernel("kernel", shapes["kernel"]), *plain(ROLES)(layer, without(shapes, "kernel"))]


def flipped_kernel(name: str, shape: Shape) -> Held:
    axes = tuple(range(len(shape) - 2))

    def turn(array: np.ndarray) -> np.ndarray:
        return np.flip(array, axes).swapaxes(-1, -2)

    return Held("kernel", [name], lambda arrays: turn(arrays[0]), lambda array: [turn(array)])


GATES = ("i", "f", "g", "o")


def flax_lstm_weights(layer: Native, shapes: Shapes) -> list[Held]:
    """One array a gate (i, f, g, o), or one for all; the bias is the recurrent one."""
    if "dense_i/kernel" in shapes:
        names = [("kernel", "dense_i/kernel"), ("recurrent_kernel", "dense_h/kernel"), ("bias", "dense_h/bias")]
        return [Held(role, [name]) for role, name in names if name in shapes]
    found = []
    for role, side, array in (("kernel", "i", "kernel"), ("recurrent_kernel", "h", "kernel"), ("bias", "h", "bias")):
        gates = [first_of(shapes, f"{side}{gate}/{array}", f"{side}{gate}_/{array}") for gate in GATES]
        known = [name for name in gates if name is not None]
        if len(known) == len(gates):
            found.append(blocks(role, known))
    return found


def first_of(shapes: Shapes, *names: str) -> str | None:
    return next((name for name in names if name in shapes), None)


def flax_gru_weights(layer: Native, shapes: Shapes) -> list[Held]:
    """r, z, n; the input's kernels have the biases of r and z, n has one on either side (torch's GRU without two)."""
    if "dense_i/kernel" in shapes:
        return flax_gru_in_two(shapes)
    found = [blocks("kernel", ["iz/kernel", "ir/kernel", "in/kernel"])]
    found.append(blocks("recurrent_kernel", ["hz/kernel", "hr/kernel", "hn/kernel"]))
    if "in/bias" in shapes:
        found.append(two_biases(["iz/bias", "ir/bias", "in/bias", "hn/bias"]))
    return found


def two_biases(names: list[str]) -> Held:
    """(2, 3 units): the input's bias of z, r, h, and the recurrent one, which is zero but for h."""

    def read(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return OneBias.read(np.concatenate(arrays[:3]), arrays[3])

    def write(array: np.ndarray) -> list[np.ndarray]:
        first, last = OneBias.write(array)
        return [*np.split(first, 3), last]

    def slope(grads: Sequence[np.ndarray]) -> np.ndarray:
        return OneBias.slope(np.concatenate(grads[:3]), grads[3])

    return Held("bias", names, read, write, slope)


def flax_gru_in_two(shapes: Shapes) -> list[Held]:
    found = [reordered("kernel", "dense_i/kernel", ZRN), reordered("recurrent_kernel", "dense_h/kernel", ZRN)]
    if "dense_i/bias" not in shapes:
        return found
    names = ["dense_i/bias", "dense_h/bias"]
    if "dense_h/bias" not in shapes:
        return [*found, reordered("bias", names[0], ZRN)]

    def turn(array: np.ndarray) -> np.ndarray:
        parts = np.split(array, 3, -1)
        return np.concatenate([parts[at] for at in ZRN], -1)

    def write(array: np.ndarray) -> list[np.ndarray]:
        return [turn(array[0]), turn(array[1])]

    return [*found, Held("bias", names, lambda arrays: turn(np.stack(arrays)), write)]


def flax_simple_weights(layer: Native, shapes: Shapes) -> list[Held]:
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
