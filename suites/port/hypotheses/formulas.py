"""Layers in plain NumPy, forward only, with every convention that ports get wrong as a setting of its own.

`formula(kind)` is a function (config, weights, x, training) -> y. Images are (N, H, W, C), sequences (N, T, C), weights
in Keras's layouts. An explicit `pads` ((top, bottom), (left, right)) wins over `padding`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray
Config = Mapping[str, Any]
Formula = Callable[[Config, Mapping[str, Array], Array, bool], Array]

ERF = np.frompyfunc(math.erf, 1, 1)


def sigmoid(x: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "gelu": lambda x: 0.5 * x * (1 + np.asarray(ERF(x / math.sqrt(2)), float)),
    "gelu_tanh": gelu_tanh,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "silu": lambda x: x * sigmoid(x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
    "softplus": lambda x: np.logaddexp(0.0, x),
    "softmax": softmax,
    "log_softmax": lambda x: np.log(softmax(x)),
    "hard_sigmoid_6": lambda x: np.clip(x / 6 + 0.5, 0.0, 1.0),
    "hard_sigmoid_5": lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0),
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
}
ALIASES = {"hard_sigmoid": "hard_sigmoid_6", "swish": "silu"}  # Keras 3's hard sigmoid is x / 6 + 0.5


def activation(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    if "slope" in config and config["name"] == "leaky_relu":
        return np.where(x > 0, x, config["slope"] * x)
    return named_activation(config["name"])(x)


def named_activation(name: str) -> Callable[[Array], Array]:
    return ACTIVATIONS[ALIASES.get(name, name)]


def dense(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    kernel = weights["kernel"].T if config.get("transposed") else weights["kernel"]
    return np.asarray(x @ kernel + weights.get("bias", 0.0))


def same_pads(size: int, window: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME: the odd place goes behind."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def pads_of(config: Config, x: Array, reach: tuple[int, ...]) -> list[tuple[int, int]]:
    """(before, behind) of both axes of an image."""
    if "pads" in config:
        return [(before, behind) for before, behind in config["pads"]]
    padding, strides = config["padding"], config["strides"]
    if padding == "same":
        return [same_pads(*each) for each in zip(x.shape[1:3], reach, strides, strict=True)]
    if padding == "valid":
        return [(0, 0), (0, 0)]
    return [(p, p) for p in padding]


def windows(config: Config, x: Array, fill: float) -> Array:
    """(N, OH, OW, C, h, w): what each window sees."""
    dilation = config.get("dilation", [1, 1])
    reach = tuple((w - 1) * d + 1 for w, d in zip(config["window"], dilation, strict=True))
    padded = np.pad(x, [(0, 0), *pads_of(config, x, reach), (0, 0)], constant_values=fill)
    seen = sliding_window_view(padded, reach, (1, 2))
    rows, columns = config["strides"]
    return np.asarray(seen[:, ::rows, ::columns, :, :: dilation[0], :: dilation[1]])


def kernel_of(config: Config, weights: Mapping[str, Array]) -> Array:
    kernel = weights["kernel"]
    kernel = kernel[::-1, ::-1] if config.get("flipped") else kernel
    return kernel.transpose(1, 0, 2, 3) if config.get("transposed") else kernel


def conv2d(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    if config.get("groups", 1) != 1:
        raise NotImplementedError("grouped convolutions")
    y = np.einsum("nijchw,hwco->nijo", windows(config, x, 0.0), kernel_of(config, weights), optimize=True)
    return np.asarray(y + weights.get("bias", 0.0))


def depthwise_conv2d(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    y = np.einsum("nijchw,hwcm->nijcm", windows(config, x, 0.0), kernel_of(config, weights), optimize=True)
    return np.asarray(y.reshape(*y.shape[:3], -1) + weights.get("bias", 0.0))


def batchnorm(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    """`statistics` "batch" or "running" wins over the mode; epsilon inside the root unless `outside`."""
    batch = config.get("statistics", "batch" if training else "running") == "batch"
    mean = x.mean(tuple(range(x.ndim - 1))) if batch else weights["moving_mean"]
    variance = batch_variance(x, config.get("unbiased", False)) if batch else weights["moving_variance"]
    return normalised(config, weights, x, mean, variance)


def batch_variance(x: Array, unbiased: bool = False) -> Array:
    """The variance of each channel over everything else."""
    return np.asarray(x.var(tuple(range(x.ndim - 1)), ddof=int(unbiased)))


def layernorm(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    variance = x.var(-1, keepdims=True, ddof=int(config.get("unbiased", False)))
    return normalised(config, weights, x, x.mean(-1, keepdims=True), variance)


def normalised(config: Config, weights: Mapping[str, Array], x: Array, mean: Array, variance: Array) -> Array:
    epsilon = config["epsilon"]
    root = np.sqrt(variance) + epsilon if config.get("outside") else np.sqrt(variance + epsilon)
    return np.asarray((x - mean) / root * weights.get("gamma", 1.0) + weights.get("beta", 0.0))


def embedding(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    return np.asarray(weights["embeddings"][x.astype(int)])


def maxpool2d(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    return np.asarray(windows(config, x, config.get("fill", -np.inf)).max((-2, -1)))


def avgpool2d(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    total = windows(config, x, 0.0).sum((-2, -1))
    if config.get("count_padding"):
        return np.asarray(total / math.prod(config["window"]))
    return np.asarray(total / windows(config, np.ones_like(x), 0.0).sum((-2, -1)))


def adaptive_pool(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    return np.asarray(x.mean((1, 2)))


def flatten(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    if config.get("order") == "CHW" and x.ndim == 4:
        x = x.transpose(0, 3, 1, 2)
    if config.get("order") == "WHC" and x.ndim == 4:
        x = x.transpose(0, 2, 1, 3)
    return x.reshape(len(x), -1)


def reordered(weights: Mapping[str, Array], order: Any, gates: int) -> dict[str, Array]:
    """The weights as a cell takes them that believes the gates to be in `order`."""
    found = {}
    for role, array in weights.items():
        blocks = np.split(array, gates, -1)
        found[role] = np.concatenate([blocks[i] for i in order], -1)
    return found


def over_time(
    config: Config, x: Array, step: Callable[[Array, tuple[Array, ...]], tuple[Array, ...]], units: int, states: int
) -> Array:
    """Run `step` over the second axis; (N, T, units), or (N, units) of the last step."""
    if config.get("time_axis") == 0:
        x = x.transpose(1, 0, 2)
    state = tuple(np.zeros((len(x), units)) for _ in range(states))
    outputs = []
    for t in range(x.shape[1])[:: -1 if config.get("go_backwards") else 1]:
        state = step(x[:, t], state)
        outputs.append(state[0])
    found = np.stack(outputs, 1)
    found = found.transpose(1, 0, 2) if config.get("time_axis") == 0 else found
    if config.get("return_sequences", False):
        return found
    return found[:, -1] if config.get("time_axis") == 0 else outputs[-1]


def lstm(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    """`order` is where i, f, c and o are looked for; `forget_bias` is added to f."""
    w = reordered(weights, config.get("order", (0, 1, 2, 3)), 4)
    squash, gate = recurrent_activations(config)

    def step(x: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        h, c = state
        i, f, g, o = np.split(x @ w["kernel"] + h @ w["recurrent_kernel"] + w.get("bias", 0.0), 4, -1)
        c = gate(f + config.get("forget_bias", 0.0)) * c + gate(i) * squash(g)
        return gate(o) * squash(c), c

    return over_time(config, x, step, weights["recurrent_kernel"].shape[0], 2)


def recurrent_activations(config: Config) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    return (
        named_activation(config.get("activation", "tanh")),
        named_activation(config.get("recurrent_activation", "sigmoid")),
    )


def gru(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    """`order` is where z, r and h are looked for; z keeps the old state, the new one where `z_inverted`."""
    w = reordered(weights, config.get("order", (0, 1, 2)), 3)
    squash, gate = recurrent_activations(config)
    first, second = two_biases(config, w)
    recurrent = np.split(w["recurrent_kernel"], 3, -1)

    def step(x: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        (h,) = state
        xz, xr, xh = np.split(x @ w["kernel"] + first, 3, -1)
        bz, br, bh = np.split(second, 3, -1)
        z, r = gate(xz + h @ recurrent[0] + bz), gate(xr + h @ recurrent[1] + br)
        late = r * (h @ recurrent[2] + bh) if config["reset_after"] else (r * h) @ recurrent[2] + bh
        candidate = squash(xh + late)
        return ((1 - z) * h + z * candidate,) if config.get("z_inverted") else (z * h + (1 - z) * candidate,)

    return over_time(config, x, step, weights["recurrent_kernel"].shape[0], 1)


def two_biases(config: Config, w: Mapping[str, Array]) -> tuple[Array, Array]:
    """The input's and the recurrent bias; `folded` puts all of it into the first."""
    bias = w.get("bias", np.zeros(w["kernel"].shape[-1]))
    first, second = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    return (first + second, np.zeros_like(second)) if config.get("folded") else (first, second)


def output(config: Config, weights: Mapping[str, Array], x: Array, training: bool) -> Array:
    return x


FORMULAS: dict[str, Formula] = {
    "activation": activation,
    "adaptive_pool": adaptive_pool,
    "avgpool2d": avgpool2d,
    "batchnorm": batchnorm,
    "conv2d": conv2d,
    "dense": dense,
    "depthwise_conv2d": depthwise_conv2d,
    "embedding": embedding,
    "flatten": flatten,
    "gru": gru,
    "layernorm": layernorm,
    "lstm": lstm,
    "maxpool2d": maxpool2d,
    "output": output,
}
