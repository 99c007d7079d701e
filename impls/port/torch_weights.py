"""The weights of PyTorch's layers: where each one is in the module, and the way to Keras's layout and back."""

from __future__ import annotations

import numpy as np

from impls.port.base import Weight


def turned(*axes):
    """Reads and writes an array whose canonical axes are `axes` of the native ones."""
    back = tuple(np.argsort(axes))
    return (lambda arrays: arrays[0].transpose(axes)), (lambda array: [array.transpose(back)])


def plain(kind, table):
    """Weights of a module that has one tensor for each."""

    def find(path, module):
        found = []
        for attribute, role, axes, trainable in table:
            tensor = getattr(module, attribute, None)
            if tensor is not None:
                ways = turned(*axes) if axes else (None, None)
                name = f"{path}.{attribute}".lstrip(".")
                found.append(Weight(path, kind, role, [tensor], *ways, trainable=trainable, name=name))
        return found

    return find


def depthwise_weights(path, module):
    channels, height, width = module.in_channels, *module.kernel_size

    def read(arrays):  # (C M, 1, H, W) to (H, W, C, M)
        return arrays[0].reshape(channels, -1, height, width).transpose(2, 3, 0, 1)

    def write(array):
        return [array.transpose(2, 3, 0, 1).reshape(-1, 1, height, width)]

    kernel = Weight(path, "depthwise_conv2d", "kernel", [module.weight], read, write, name=f"{path}.weight")
    return [kernel, *plain("depthwise_conv2d", [("bias", "bias", None, True)])(path, module)]


def gates(array, order):
    """Blocks along the last axis in another order."""
    blocks = np.split(array, len(order), -1)
    return np.concatenate([blocks[i] for i in order], -1)


def recurrent_weights(kind, order, biases):
    """kernel, recurrent_kernel and bias of each layer and direction; torch's r, z, n are Keras's z, r, h."""

    def matrix(attribute, role, path, module, suffix):
        tensor = getattr(module, attribute + suffix)
        read = lambda arrays: gates(arrays[0].T, order)  # noqa: E731
        write = lambda array: [gates(array, order).T]  # noqa: E731
        return Weight(path + suffix, kind, role, [tensor], read, write, name=f"{path}.{attribute}{suffix}".lstrip("."))

    def find(path, module):
        found = []
        ends = ["", "_reverse"] if module.bidirectional else [""]
        for suffix in [f"_l{i}{end}" for i in range(module.num_layers) for end in ends]:
            found.append(matrix("weight_ih", "kernel", path, module, suffix))
            found.append(matrix("weight_hh", "recurrent_kernel", path, module, suffix))
            if module.bias:
                tensors = [getattr(module, name + suffix) for name in ("bias_ih", "bias_hh")]
                name = f"{path}.bias_ih{suffix}".lstrip(".")
                found.append(Weight(path + suffix, kind, "bias", tensors, *biases, name=name))
        return found

    return find


# Of the LSTM's two biases only the sum counts; the GRU's second one is inside the reset.
ONE_BIAS = (lambda arrays: arrays[0] + arrays[1]), (lambda array: [array, np.zeros_like(array)])
TWO_BIASES = (lambda arrays: gates(np.stack(arrays), (1, 0, 2))), (lambda array: list(gates(array, (1, 0, 2))))

VECTORS = [("weight", "gamma", None, True), ("bias", "beta", None, True)]
STATISTICS = [("running_mean", "moving_mean", None, False), ("running_var", "moving_variance", None, False)]
NAMED = {
    "dense": plain("dense", [("weight", "kernel", (1, 0), True), ("bias", "bias", None, True)]),
    "conv2d": plain("conv2d", [("weight", "kernel", (2, 3, 1, 0), True), ("bias", "bias", None, True)]),
    "depthwise_conv2d": depthwise_weights,
    "conv1d": plain("conv1d", [("weight", "kernel", (2, 1, 0), True), ("bias", "bias", None, True)]),
    "conv2d_transpose": plain(
        "conv2d_transpose", [("weight", "kernel", (2, 3, 1, 0), True), ("bias", "bias", None, True)]
    ),
    "batchnorm": plain("batchnorm", VECTORS + STATISTICS),
    "layernorm": plain("layernorm", VECTORS),
    "embedding": plain("embedding", [("weight", "embeddings", None, True)]),
    "lstm": recurrent_weights("lstm", (0, 1, 2, 3), ONE_BIAS),
    "gru": recurrent_weights("gru", (1, 0, 2), TWO_BIASES),
}
