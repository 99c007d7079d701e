"""The weights of PyTorch's layers: where each one is in the module, and the way to Keras's layout and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from impls.port.ways import depthwise, gates, ordered, turned
from impls.port.weight import Weight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from torch import nn

    from impls.port.annotations import Axes, MaybeWays, Ways

    Row = tuple[str, str, Axes | None, bool]  # attribute of a module, role, axes of Keras, whether it is trained
    Finder = Callable[[str, nn.Module], list[Weight]]


class Part:
    """Rows of a parameter that hold a weight of their own, such as the queries' in a packed projection."""

    def __init__(self, tensor: torch.Tensor, start: int, stop: int) -> None:
        self.tensor = tensor
        self.rows = slice(start, stop)

    def view(self) -> torch.Tensor:
        return self.tensor[self.rows]


def join(path: str, name: str) -> str:
    return f"{path}.{name}".lstrip(".")


def plain(kind: str, table: Sequence[Row]) -> Finder:
    """Weights of a module that has one tensor for each."""

    def find(path: str, module: nn.Module) -> list[Weight]:
        found = []
        own = {**module._parameters, **module._buffers}
        for attribute, role, axes, trainable in table:
            tensor = own.get(attribute)
            if tensor is not None:
                ways: MaybeWays = turned(axes) if axes else (None, None)
                found.append(Weight(path, kind, role, [tensor], *ways, trainable, name=join(path, attribute)))
        return found

    return find


def depthwise_weights(path: str, module: nn.Module) -> list[Weight]:
    """(C M, 1, *window) to (*window, C, M)."""
    channels, window = module.in_channels, tuple(module.kernel_size)
    kind = f"depthwise_conv{len(window)}d"
    ways = depthwise(channels, (-1, 1, *window))
    found = plain(kind, [("bias", "bias", None, True)])(path, module)
    if module._parameters.get("weight") is None:
        return found
    return [Weight(path, kind, "kernel", [module.weight], *ways, name=join(path, "weight")), *found]


def gate_matrix(kind: str, order: Axes, layer: str, name: str, tensor: torch.Tensor, role: str) -> Weight:
    return Weight(layer, kind, role, [tensor], *gates(order, transposed=True), name=name)


def recurrent_weights(kind: str, order: Axes, biases: Ways) -> Finder:
    """kernel, recurrent_kernel and bias of each layer and direction; torch's r, z, n are Keras's z, r, h."""

    def find(path: str, module: nn.Module) -> list[Weight]:
        found = []
        ends = ["", "_reverse"] if module.bidirectional else [""]
        for suffix in [f"_l{i}{end}" for i in range(module.num_layers) for end in ends]:
            layer = path + suffix
            found += cell_weights(kind, order, biases, path, layer, module, suffix)
        return found

    return find


def cell_weights(
    kind: str, order: Axes, biases: Ways, path: str, layer: str, module: nn.Module, suffix: str = ""
) -> list[Weight]:
    found = []
    for attribute, role in (("weight_ih", "kernel"), ("weight_hh", "recurrent_kernel"), ("weight_hr", "projection")):
        tensor = module._parameters.get(attribute + suffix)
        if tensor is not None:
            blocks = order if role != "projection" else (0,)
            found.append(gate_matrix(kind, blocks, layer, join(path, attribute + suffix), tensor, role))
    if module.bias:
        tensors = [getattr(module, name + suffix) for name in ("bias_ih", "bias_hh")]
        found.append(Weight(layer, kind, "bias", tensors, *biases, name=join(path, f"bias_ih{suffix}")))
    return found


def one_cell(kind: str, order: Axes, biases: Ways) -> Finder:
    return lambda path, module: cell_weights(kind, order, biases, path, path, module)


# Of the LSTM's two biases only the sum counts; the GRU's second one is inside the reset.
ONE_BIAS = (lambda arrays: arrays[0] + arrays[1]), (lambda array: [array, np.zeros_like(array)])
TWO_BIASES = (lambda arrays: ordered(np.stack(arrays), (1, 0, 2))), (lambda array: list(ordered(array, (1, 0, 2))))


def attention_weights(path: str, module: nn.Module) -> list[Weight]:
    """query, key, value and output as four dense layers, whether they are packed or not."""
    found = []
    width = module.embed_dim
    for at, piece in enumerate(("query", "key", "value")):
        packed = module._parameters.get("in_proj_weight")
        separate = module._parameters.get(f"{piece[0]}_proj_weight")
        tensor = Part(packed, at * width, (at + 1) * width) if packed is not None else separate
        name = f"in_proj_weight[{piece}]" if packed is not None else f"{piece[0]}_proj_weight"
        found.append(Weight(join(path, piece), "dense", "kernel", [tensor], *turned((1, 0)), name=join(path, name)))
        bias = module._parameters.get("in_proj_bias")
        if bias is not None:
            part = Part(bias, at * width, (at + 1) * width)
            name = join(path, f"in_proj_bias[{piece}]")
            found.append(Weight(join(path, piece), "dense", "bias", [part], name=name))
    return found + plain("attention", [("bias_k", "bias_k", None, True), ("bias_v", "bias_v", None, True)])(
        path, module
    )


def prelu_weights(path: str, module: nn.Module) -> list[Weight]:
    return [Weight(path, "prelu", "alpha", [module.weight], name=join(path, "weight"))]


KERNEL = "weight", "kernel"
BIAS = ("bias", "bias", None, True)
VECTORS = [("weight", "gamma", None, True), ("bias", "beta", None, True)]
STATISTICS = [("running_mean", "moving_mean", None, False), ("running_var", "moving_variance", None, False)]
NAMED = {
    "dense": plain("dense", [(*KERNEL, (1, 0), True), BIAS]),
    "conv1d": plain("conv1d", [(*KERNEL, (2, 1, 0), True), BIAS]),
    "conv2d": plain("conv2d", [(*KERNEL, (2, 3, 1, 0), True), BIAS]),
    "conv3d": plain("conv3d", [(*KERNEL, (2, 3, 4, 1, 0), True), BIAS]),
    "depthwise_conv1d": depthwise_weights,
    "depthwise_conv2d": depthwise_weights,
    "depthwise_conv3d": depthwise_weights,
    "conv1d_transpose": plain("conv1d_transpose", [(*KERNEL, (2, 1, 0), True), BIAS]),
    "conv2d_transpose": plain("conv2d_transpose", [(*KERNEL, (2, 3, 1, 0), True), BIAS]),
    "conv3d_transpose": plain("conv3d_transpose", [(*KERNEL, (2, 3, 4, 1, 0), True), BIAS]),
    "batchnorm": plain("batchnorm", VECTORS + STATISTICS),
    "instancenorm": plain("instancenorm", VECTORS + STATISTICS),
    "layernorm": plain("layernorm", VECTORS),
    "groupnorm": plain("groupnorm", VECTORS),
    "rmsnorm": plain("rmsnorm", [("weight", "gamma", None, True)]),
    "embedding": plain("embedding", [("weight", "embeddings", None, True)]),
    "attention": attention_weights,
    "prelu": prelu_weights,
    "lstm": recurrent_weights("lstm", (0, 1, 2, 3), ONE_BIAS),
    "gru": recurrent_weights("gru", (1, 0, 2), TWO_BIASES),
    "simple_rnn": recurrent_weights("simple_rnn", (0,), ONE_BIAS),
    "lstm_cell": one_cell("lstm", (0, 1, 2, 3), ONE_BIAS),
    "gru_cell": one_cell("gru", (1, 0, 2), TWO_BIASES),
    "simple_rnn_cell": one_cell("simple_rnn", (0,), ONE_BIAS),
}
