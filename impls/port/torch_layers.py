"""What PyTorch's modules are in the words of Keras, and what they are configured to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impls.port.annotations import Config, Configure, Kind

    Size = int | str | Sequence[int]  # one for all axes, or one each; "same"


def pair(value: Size) -> Size:
    """`2` and `(2, 2)` mean the same; "same" stays."""
    return [value, value] if isinstance(value, int) else value


def listed(value: Size, axes: int) -> Size:
    if isinstance(value, int):
        return [value] * axes
    return list(value) if isinstance(value, tuple) else value


def window(axes: int) -> Configure:
    def settings(m: nn.Module) -> Config:
        found = {"window": m.kernel_size, "strides": m.stride, "padding": m.padding}
        found = {name: listed(value, axes) for name, value in found.items()}
        found.update(ceil_mode=m.ceil_mode)
        if hasattr(m, "count_include_pad"):
            found.update(count_padding=m.count_include_pad and m.padding != 0)
        return found

    return settings


def convolution(axes: int) -> Configure:
    def settings(m: nn.Module) -> Config:
        found = {"window": m.kernel_size, "strides": m.stride, "padding": m.padding, "dilation": m.dilation}
        found = {name: listed(value, axes) for name, value in found.items()}
        found.update(groups=m.groups, pad_mode=m.padding_mode)
        if m.transposed:
            found.update(output_padding=listed(m.output_padding, axes))
        return found

    return settings


def recurrent(m: nn.Module) -> Config:
    return {"return_sequences": True, "layers": m.num_layers, "bidirectional": m.bidirectional}


def nothing(m: nn.Module) -> Config:
    return {}


def named(name: str) -> Configure:
    return lambda m: {"name": name}


ACTIVATIONS = {
    nn.ReLU: named("relu"),
    nn.ReLU6: named("relu6"),
    nn.LeakyReLU: lambda m: {"name": "leaky_relu", "slope": m.negative_slope},
    nn.GELU: lambda m: {"name": "gelu" if m.approximate == "none" else "gelu_tanh"},
    nn.SiLU: named("silu"),
    nn.Sigmoid: named("sigmoid"),
    nn.Tanh: named("tanh"),
    nn.ELU: lambda m: {"name": "elu", "alpha": m.alpha},
    nn.SELU: named("selu"),
    nn.Mish: named("mish"),
    nn.Hardsigmoid: named("hard_sigmoid_6"),
    nn.Hardswish: named("hard_swish"),
    nn.Softplus: named("softplus"),
    nn.Softmax: lambda m: {"name": "softmax", "axis": m.dim},
    nn.LogSoftmax: lambda m: {"name": "log_softmax", "axis": m.dim},
}
NORM = {"epsilon": "eps"}
KINDS = {
    nn.Linear: ("dense", nothing),
    nn.Conv1d: ("conv1d", convolution(1)),
    nn.Conv2d: ("conv2d", convolution(2)),
    nn.Conv3d: ("conv3d", convolution(3)),
    nn.ConvTranspose1d: ("conv1d_transpose", convolution(1)),
    nn.ConvTranspose2d: ("conv2d_transpose", convolution(2)),
    nn.ConvTranspose3d: ("conv3d_transpose", convolution(3)),
    nn.modules.instancenorm._InstanceNorm: ("instancenorm", lambda m: {"epsilon": m.eps}),
    nn.modules.batchnorm._BatchNorm: ("batchnorm", lambda m: {"epsilon": m.eps, "momentum": 1 - (m.momentum or 0)}),
    nn.LayerNorm: ("layernorm", lambda m: {"epsilon": m.eps}),
    nn.GroupNorm: ("groupnorm", lambda m: {"epsilon": m.eps, "groups": m.num_groups}),
    nn.RMSNorm: ("rmsnorm", lambda m: {"epsilon": m.eps}),
    nn.Embedding: ("embedding", lambda m: {"padding_idx": m.padding_idx}),
    nn.MultiheadAttention: ("attention", lambda m: {"heads": m.num_heads}),
    nn.PReLU: ("prelu", nothing),
    nn.LSTM: ("lstm", recurrent),
    nn.GRU: ("gru", lambda m: {**recurrent(m), "reset_after": True}),
    nn.RNN: ("simple_rnn", recurrent),
    nn.LSTMCell: ("lstm_cell", nothing),
    nn.GRUCell: ("gru_cell", nothing),
    nn.RNNCell: ("simple_rnn_cell", nothing),
    nn.MaxPool1d: ("maxpool1d", window(1)),
    nn.MaxPool2d: ("maxpool2d", window(2)),
    nn.MaxPool3d: ("maxpool3d", window(3)),
    nn.AvgPool1d: ("avgpool1d", window(1)),
    nn.AvgPool2d: ("avgpool2d", lambda m: window(2)(m)),
    nn.AdaptiveAvgPool2d: ("adaptive_pool", lambda m: {"size": listed(m.output_size, 2)}),
    nn.AdaptiveAvgPool1d: ("adaptive_pool", lambda m: {"size": listed(m.output_size, 1)}),
    nn.Flatten: ("flatten", nothing),
    nn.Upsample: ("resize", lambda m: {"mode": m.mode, "align_corners": m.align_corners}),
    nn.modules.dropout._DropoutNd: ("dropout", lambda m: {"rate": m.p}),
    nn.ZeroPad2d: ("pad", lambda m: {"widths": listed(m.padding, 4), "mode": "constant"}),
    nn.ReflectionPad2d: ("pad", lambda m: {"widths": listed(m.padding, 4), "mode": "reflect"}),
    nn.ReplicationPad2d: ("pad", lambda m: {"widths": listed(m.padding, 4), "mode": "replicate"}),
    **{module: ("activation", config) for module, config in ACTIVATIONS.items()},
}


def kind_of(module: nn.Module) -> Kind | None:
    """`(kind, configuration function)` of a module; None for one of the user's own."""
    found = next((known for layer, known in KINDS.items() if isinstance(module, layer)), None)
    if found and found[0] in ("conv1d", "conv2d", "conv3d") and 1 < module.groups == module.in_channels:
        return "depthwise_" + found[0], found[1]
    return found
