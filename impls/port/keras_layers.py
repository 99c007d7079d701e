"""What Keras's layers are, what they are configured to, and where their weights differ from the canonical layout."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from impls.port.ways import folded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impls.port.annotations import Config, Configure, Function, Kind, Native, Ways


def listed(value: int | Sequence[int], axes: int) -> list[int]:
    return [value] * axes if isinstance(value, int) else list(value)


def convolution(layer: Native) -> Config:
    axes = layer.rank
    found = {
        "window": listed(layer.kernel_size, axes),
        "strides": listed(layer.strides, axes),
        "padding": layer.padding,
        "dilation": listed(layer.dilation_rate, axes),
        "groups": getattr(layer, "groups", 1),
    }
    if getattr(layer, "output_padding", None) is not None:
        found.update(output_padding=listed(layer.output_padding, axes))
    return found


def pooling(axes: int) -> Configure:
    return lambda layer: {
        "window": listed(layer.pool_size, axes),
        "strides": listed(layer.strides, axes),
        "padding": layer.padding,
    }


def recurrent(layer: Native) -> Config:
    found = {"activation": layer.activation.__name__, "return_sequences": layer.return_sequences}
    found.update(go_backwards=layer.go_backwards)
    if hasattr(layer, "recurrent_activation"):
        found.update(recurrent_activation=layer.recurrent_activation.__name__)
    return found


def function(activation: Function) -> Config:
    """The name of an activation function, with what else it needs."""
    return {"name": getattr(activation, "__name__", type(activation).__name__)}


def norm(layer: Native) -> Config:
    return {"epsilon": layer.epsilon}


def nothing(layer: Native) -> Config:
    return {}


def named(name: str) -> Configure:
    return lambda layer: {"name": name}


CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
KINDS = {
    "Dense": ("dense", nothing),
    "EinsumDense": ("dense", lambda layer: {"equation": layer.equation}),
    "Conv1D": ("conv1d", convolution),
    "Conv2D": ("conv2d", convolution),
    "Conv3D": ("conv3d", convolution),
    "DepthwiseConv1D": ("depthwise_conv1d", convolution),
    "DepthwiseConv2D": ("depthwise_conv2d", convolution),
    "SeparableConv1D": ("separable_conv1d", convolution),
    "SeparableConv2D": ("separable_conv2d", convolution),
    "Conv1DTranspose": ("conv1d_transpose", convolution),
    "Conv2DTranspose": ("conv2d_transpose", convolution),
    "Conv3DTranspose": ("conv3d_transpose", convolution),
    "BatchNormalization": ("batchnorm", lambda layer: {"epsilon": layer.epsilon, "momentum": layer.momentum}),
    "LayerNormalization": ("layernorm", norm),
    "GroupNormalization": ("groupnorm", lambda layer: {"epsilon": layer.epsilon, "groups": layer.groups}),
    "RMSNormalization": ("rmsnorm", norm),
    "Embedding": ("embedding", lambda layer: {"mask_zero": layer.mask_zero}),
    "MultiHeadAttention": ("attention", lambda layer: {"heads": layer.num_heads}),
    "GroupedQueryAttention": ("attention", lambda layer: {"heads": layer.num_query_heads}),
    "LSTM": ("lstm", recurrent),
    "GRU": ("gru", lambda layer: {**recurrent(layer), "reset_after": layer.reset_after}),
    "SimpleRNN": ("simple_rnn", recurrent),
    "Bidirectional": ("bidirectional", nothing),
    "TimeDistributed": ("time_distributed", nothing),
    "MaxPooling1D": ("maxpool1d", pooling(1)),
    "MaxPooling2D": ("maxpool2d", pooling(2)),
    "MaxPooling3D": ("maxpool3d", pooling(3)),
    "AveragePooling1D": ("avgpool1d", pooling(1)),
    "AveragePooling2D": ("avgpool2d", pooling(2)),
    "AveragePooling3D": ("avgpool3d", pooling(3)),
    "GlobalAveragePooling1D": ("adaptive_pool", nothing),
    "GlobalAveragePooling2D": ("adaptive_pool", nothing),
    "Flatten": ("flatten", nothing),
    "UpSampling2D": ("resize", lambda layer: {"mode": layer.interpolation}),
    "Dropout": ("dropout", lambda layer: {"rate": layer.rate}),
    "SpatialDropout1D": ("dropout", lambda layer: {"rate": layer.rate}),
    "SpatialDropout2D": ("dropout", lambda layer: {"rate": layer.rate}),
    "ZeroPadding1D": ("pad", lambda layer: {"mode": "constant"}),
    "ZeroPadding2D": ("pad", lambda layer: {"mode": "constant"}),
    "PReLU": ("prelu", nothing),
    "ReLU": ("activation", named("relu")),
    "LeakyReLU": ("activation", lambda layer: {"name": "leaky_relu", "slope": layer.negative_slope}),
    "ELU": ("activation", named("elu")),
    "Softmax": ("activation", lambda layer: {"name": "softmax", "axis": layer.axis}),
    "Activation": ("activation", lambda layer: function(layer.activation)),
}
CELLS = {"LSTMCell": "lstm", "GRUCell": "gru", "SimpleRNNCell": "simple_rnn"}
RENAMED = {"depthwise_kernel": "kernel"}


def kind_of(layer: Native) -> Kind | None:
    """`(kind, configuration function)` of one of Keras's own layers, or of a subclass of it; None otherwise."""
    for ancestor in type(layer).__mro__:
        if ancestor.__name__ in KINDS and "keras" in ancestor.__module__:
            return KINDS[ancestor.__name__]
    return None


def layout(layer: Native, variable: Native) -> Ways | None:
    """`(read, write)` between a variable's own array and the canonical one; None where they are the same."""
    if type(layer).__name__ == "EinsumDense":
        return einsum_layout(layer, variable)
    if type(layer).__name__ == "PReLU":
        return folded(tuple(variable.shape), tuple(n for n in variable.shape if n != 1) or (1,))
    return None


def einsum_layout(layer: Native, variable: Native) -> Ways | None:
    """A kernel of several axes as the matrix (in, out) that it is; a bias as a vector."""
    shape = tuple(variable.shape)
    if variable.name != "kernel":
        return folded(shape, (int(np.prod(shape)),))
    given, kernel, output = re.split(r",|->", layer.equation.replace("...", ""))
    inner = [at for at, letter in enumerate(kernel) if letter in given and letter not in output]
    outer = [at for at, letter in enumerate(kernel) if letter in output and letter not in given]
    if len(inner) + len(outer) != len(kernel):
        return None  # a batched product
    axes = inner + outer
    turned = tuple(shape[at] for at in axes)
    matrix = (int(np.prod([shape[at] for at in inner])), int(np.prod([shape[at] for at in outer])))
    back = np.argsort(axes)
    return (
        lambda arrays: arrays[0].transpose(axes).reshape(matrix),
        lambda array: [array.reshape(turned).transpose(back)],
    )
