"""The layers of Equinox: what each computes, and where its weights are in Keras's layouts."""

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
    depthwise,
    epsilon,
    groups_of_norm,
    nothing,
    plain,
    reordered,
    without,
)
from impls.port.ways import folded, turned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impls.port.annotations import Config, Native, Shapes


def equinox_convolution(layer: Native) -> Config:
    return {
        "window": list(layer.kernel_size),
        "strides": list(layer.stride),
        "padding": as_list(layer.padding),
        "dilation": list(layer.dilation),
        "groups": layer.groups,
    }


def equinox_linear_weights(layer: Native, shapes: Shapes) -> list[Held]:
    """(out, in)."""
    kernel = Held("kernel", ["weight"], *turned((1, 0)))
    return [kernel, *plain(ROLES)(layer, without(shapes, "weight"))]


def equinox_convolution_weights(layer: Native, shapes: Shapes) -> list[Held]:
    """(out, in, H, W) and (out, 1, 1)."""
    shape = shapes["weight"]
    axes = (*range(2, len(shape)), 1, 0)
    back = tuple(np.argsort(axes))
    moved = tuple(shape[axis] for axis in axes)
    canonical = moved
    if depthwise(layer, moved):
        canonical = (*moved[:-2], layer.groups, moved[-1] // layer.groups)

    def read(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return arrays[0].transpose(axes).reshape(canonical)

    def write(array: np.ndarray) -> list[np.ndarray]:
        return [array.reshape(moved).transpose(back)]

    return [Held("kernel", ["weight"], read, write), *equinox_bias(shapes)]


def equinox_bias(shapes: Shapes) -> list[Held]:
    if "bias" not in shapes:
        return []
    return [Held("bias", ["bias"], *folded(shapes["bias"], (-1,)))]


def equinox_transposed_weights(layer: Native, shapes: Shapes) -> list[Held]:
    """(out, in, H, W), not flipped: the same numbers as Keras's (H, W, out, in) flipped."""
    shape = shapes["weight"]
    windows = tuple(range(2, len(shape)))
    axes = (*windows, 0, 1)
    back = tuple(np.argsort(axes))

    def read(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.flip(arrays[0], windows).transpose(axes)

    def write(array: np.ndarray) -> list[np.ndarray]:
        return [np.flip(array.transpose(back), windows)]

    return [Held("kernel", ["weight"], read, write), *equinox_bias(shapes)]


def equinox_lstm_weights(layer: Native, shapes: Shapes) -> list[Held]:
    """(4 units, in), gates i, f, g, o."""
    order = (0, 1, 2, 3)
    found = [reordered("kernel", "weight_ih", order, True), reordered("recurrent_kernel", "weight_hh", order, True)]
    return [*found, Held("bias", ["bias"])] if "bias" in shapes else found


def equinox_gru_weights(layer: Native, shapes: Shapes) -> list[Held]:
    """(3 units, in), gates r, z, n; a bias for all and one for the recurrent side of n."""
    found = [reordered("kernel", "weight_ih", ZRN, True), reordered("recurrent_kernel", "weight_hh", ZRN, True)]
    if "bias" not in shapes:
        return found

    def turn(array: np.ndarray) -> np.ndarray:
        parts = np.split(array, 3, -1)
        return np.concatenate([parts[at] for at in ZRN], -1)

    def read(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return OneBias.read(turn(arrays[0]), arrays[1])

    def write(array: np.ndarray) -> list[np.ndarray]:
        first, last = OneBias.write(array)
        return [turn(first), last]

    def slope(grads: Sequence[np.ndarray]) -> np.ndarray:
        return OneBias.slope(turn(grads[0]), grads[1])

    return [*found, Held("bias", ["bias", "bias_n"], read, write, slope)]


def equinox_batch_norm(layer: Native) -> Config:
    """In mode `batch` the averages are divided by 1 - momentum^n, which no setting turns off."""
    start = {"start": "always corrected"} if layer.mode == "batch" else {}
    return {**batch_norm(layer), "statistics": layer.mode, **start}


EQUINOX = {
    "Linear": Row("dense", nothing, equinox_linear_weights),
    "Conv": Row("conv", equinox_convolution, equinox_convolution_weights),
    "ConvTranspose": Row("conv_transpose", equinox_convolution, equinox_transposed_weights),
    "Embedding": Row("embedding", nothing, plain({"weight": "embeddings"})),
    "BatchNorm": Row("batchnorm", equinox_batch_norm, plain(NORM_ROLES)),
    "LayerNorm": Row("layernorm", epsilon, plain(NORM_ROLES)),
    "RMSNorm": Row("rmsnorm", epsilon, plain(NORM_ROLES)),
    "GroupNorm": Row("groupnorm", groups_of_norm, plain(NORM_ROLES)),
    "PReLU": Row("prelu", nothing, plain({"negative_slope": "alpha"})),
    "LSTMCell": Row("lstm", nothing, equinox_lstm_weights),
    "GRUCell": Row("gru", lambda layer: {"reset_after": True}, equinox_gru_weights),
    "Dropout": Row("dropout", lambda layer: {"rate": float(layer.p)}, plain({})),
}
