"""The layers of Haiku: what each computes, and where its weights are in Keras's layouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from impls.port.jax_layers import (
    NORM_ROLES,
    ROLES,
    Held,
    Row,
    as_list,
    convolution_weights,
    epsilon,
    groups_of_norm,
    nothing,
    plain,
    reordered,
    without,
)
from impls.port.ways import folded

if TYPE_CHECKING:
    from impls.port.annotations import Config, Native, Shapes


def haiku_convolution(layer: Native) -> Config:
    size = as_list(layer.kernel_shape, layer.num_spatial_dims)
    return {
        "window": size,
        "strides": as_list(layer.stride, len(size)),
        "padding": as_list(layer.padding, len(size)),
        "dilation": as_list(getattr(layer, "kernel_dilation", 1), len(size)),
        "groups": getattr(layer, "feature_group_count", 1),
    }


def haiku_batch_norm(layer: Native) -> Config:
    average = layer.mean_ema
    start = {"start": "corrected"} if average.zero_debias else {}
    return {**epsilon(layer), "momentum": average.decay, **start}


def haiku_norm_weights(layer: Native, shapes: Shapes) -> list[Held]:
    """Scale and offset may be (1, 1, 1, C); the moving averages are modules below."""
    roles = {**NORM_ROLES, "mean_ema/average": "moving_mean", "var_ema/average": "moving_variance"}
    found = []
    for name, shape in shapes.items():
        if name in roles:
            found.append(Held(roles[name], [name], *folded(shape, (-1,))))
    return found


def haiku_transposed_weights(layer: Native, shapes: Shapes) -> list[Held]:
    """(H, W, out, in), not flipped."""
    axes = tuple(range(len(shapes["w"]) - 2))

    def turn(array: np.ndarray) -> np.ndarray:
        return np.flip(array, axes)

    kernel = Held("kernel", ["w"], lambda arrays: turn(arrays[0]), lambda array: [turn(array)])
    return [kernel, *plain(ROLES)(layer, without(shapes, "w"))]


def haiku_lstm_weights(layer: Native, shapes: Shapes) -> list[Held]:
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
    "BatchNorm": Row("batchnorm", haiku_batch_norm, haiku_norm_weights),
    "LayerNorm": Row("layernorm", epsilon, plain(NORM_ROLES)),
    "RMSNorm": Row("rmsnorm", epsilon, plain(NORM_ROLES)),
    "GroupNorm": Row("groupnorm", groups_of_norm, plain(NORM_ROLES)),
    "LSTM": Row("lstm", nothing, haiku_lstm_weights),
    "GRU": Row(
        "gru", lambda layer: {"reset_after": False}, plain({"w_i": "kernel", "w_h": "recurrent_kernel", "b": "bias"})
    ),
}
