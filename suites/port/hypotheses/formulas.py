"""Layers in plain NumPy, forward only, with every convention that ports get wrong as a setting of its own.

A formula is a function (config, weights, x, training) -> y. Images are (N, H, W, C), sequences (N, T, C), weights in
Keras's layouts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray
Config = Mapping[str, Any]
Weights = Mapping[str, Array]
Formula = Callable[[Config, Weights, Array, bool], Array]

ERF = np.frompyfunc(math.erf, 1, 1)


def sigmoid(x: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))


def log_softmax(x: Array, axis: int = -1) -> Array:
    shifted = x - x.max(axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis, keepdims=True)))


def gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.asarray(ERF(x / math.sqrt(2)), float)))


def gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def selu(x: Array) -> Array:
    """Klambauer et al. (2017), equation 2."""
    return np.asarray(1.0507009873554805 * elu(x, 1.6732632423543772))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "silu": lambda x: x * sigmoid(x),
    "elu": elu,
    "softplus": lambda x: np.logaddexp(0.0, x),
    "softmax": softmax,
    "log_softmax": log_softmax,
    "hard_sigmoid_6": lambda x: np.clip(x / 6 + 0.5, 0.0, 1.0),
    "hard_sigmoid_5": lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0.0, 1.0),
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "selu": selu,
    "mish": lambda x: x * np.tanh(np.logaddexp(0.0, x)),
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hard_tanh": lambda x: np.clip(x, -1.0, 1.0),
    "log_sigmoid": lambda x: -np.logaddexp(0.0, -x),
    "squared_relu": lambda x: np.maximum(x, 0.0) ** 2,
    "exponential": np.exp,
}
BENT = ("relu", "elu", "leaky_relu", "squared_relu", "prelu")  # of what is not negative, x or its square


def may_be(name: str, x: Array) -> bool:
    """Whether numbers can show this activation: of what is never negative, half of them do nothing."""
    return name not in BENT or bool((x < 0).any())


ALIASES = {"hard_sigmoid": "hard_sigmoid_6", "swish": "silu", "hard_swish": "hard_silu", "logsigmoid": "log_sigmoid"}
OVER_AN_AXIS = {"softmax": softmax, "log_softmax": log_softmax}


def activation(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """`slope` of leaky_relu, `alpha` of elu, `axis` of softmax."""
    name = config["name"]
    if config.get("slope") is not None and name == "leaky_relu":
        return np.where(x > 0, x, config["slope"] * x)
    if config.get("alpha") is not None and name == "elu":
        return elu(x, config["alpha"])
    if config.get("axis") is not None and name in OVER_AN_AXIS:
        return OVER_AN_AXIS[name](x, config["axis"])
    return named_activation(name)(x)


def named_activation(name: str) -> Callable[[Array], Array]:
    return ACTIVATIONS[ALIASES.get(name, name)]


def prelu(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    return np.where(x > 0, x, weights["alpha"] * x)


def dense(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    kernel = weights["kernel"].T if config.get("transposed") else weights["kernel"]
    bias = 0.0 if config.get("without_bias") else weights.get("bias", 0.0)
    return np.asarray(x @ kernel + bias)


def batchnorm(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """`statistics` "batch" or "running" wins over the mode; epsilon inside the root unless `outside`."""
    batch = config.get("statistics", "batch" if training else "running") == "batch"
    mean = x.mean(tuple(range(x.ndim - 1))) if batch else weights["moving_mean"]
    variance = batch_variance(x, config.get("unbiased", False)) if batch else weights["moving_variance"]
    return normalised(config, weights, x, mean, variance)


def batch_variance(x: Array, unbiased: bool = False) -> Array:
    """The variance of each channel over everything else."""
    return np.asarray(x.var(tuple(range(x.ndim - 1)), ddof=int(unbiased)))


def layernorm(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """Over the last axis, or over `axes`."""
    axes = tuple(config.get("axes", (-1,)))
    variance = x.var(axes, keepdims=True, ddof=int(config.get("unbiased", False)))
    return normalised(config, weights, x, x.mean(axes, keepdims=True), variance)


def normalised(config: Config, weights: Weights, x: Array, mean: Array, variance: Array) -> Array:
    epsilon = config["epsilon"]
    root = np.sqrt(variance) + epsilon if config.get("outside") else np.sqrt(variance + epsilon)
    return scaled(config, weights, (x - mean) / root)


def scaled(config: Config, weights: Weights, y: Array) -> Array:
    """y gamma + beta; y (1 + gamma) where `one_plus`."""
    gamma = weights.get("gamma", 1.0) + float(config.get("one_plus", False))
    return np.asarray(y * gamma + weights.get("beta", 0.0))


def scaling(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """What is left of a norm once the numbers are normalised."""
    return scaled(config, weights, x)


def rmsnorm(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """Zhang and Sennrich (2019), equation 4; `centred` takes the mean off first, as LayerNorm does."""
    x = x - x.mean(-1, keepdims=True) if config.get("centred") else x
    square = (x * x).mean(-1, keepdims=True)
    epsilon = config["epsilon"] or 0.0
    root = np.sqrt(square) + epsilon if config.get("outside") else np.sqrt(square + epsilon)
    return scaled(config, weights, x / root)


def groupnorm(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """Wu and He (2018), equation 7; groups of neighbours, or of every `groups`-th channel where `interleaved`."""
    groups, channels = config["groups"], x.shape[-1]
    order = np.arange(channels).reshape(-1, groups).T.ravel() if config.get("interleaved") else np.arange(channels)
    split = x[..., order].reshape(*x.shape[:-1], groups, channels // groups)
    axes = (-1,) if config.get("places_apart") else (*range(1, x.ndim - 1), x.ndim)
    variance = split.var(axes, keepdims=True, ddof=int(config.get("unbiased", False)))
    centred = split - split.mean(axes, keepdims=True)
    epsilon = config["epsilon"]
    root = np.sqrt(variance) + epsilon if config.get("outside") else np.sqrt(variance + epsilon)
    y = (centred / root).reshape(x.shape)[..., np.argsort(order)]
    return scaled(config, weights, y)


def instancenorm(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    return groupnorm({**config, "groups": config.get("groups", x.shape[-1])}, weights, x, training)


def embedding(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """`shift` is added to the ids first; `zero_row` counts as zeros."""
    table = weights["embeddings"]
    if config.get("zero_row") is not None:
        table = np.where(np.arange(len(table))[:, None] == config["zero_row"], 0.0, table)
    return np.asarray(table[x.astype(int) + config.get("shift", 0)])


def flatten(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    if config.get("order") == "CHW":
        x = np.moveaxis(x, -1, 1)
    if config.get("order") == "WHC" and x.ndim == 4:
        x = x.transpose(0, 2, 1, 3)
    return np.asarray(x.reshape(len(x), -1))


def output(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    return x


MOVES: dict[str, Callable[[Array, int], Array]] = {
    "reversed": lambda x, axis: np.flip(x, axis),
    "shifted by 1": lambda x, axis: np.roll(x, 1, axis),
    "shifted by -1": lambda x, axis: np.roll(x, -1, axis),
    "delayed": lambda x, axis: np.concatenate(
        [np.zeros_like(x.take([0], axis)), np.delete(x, x.shape[axis] - 1, axis)], axis
    ),
}


def moved(move: tuple[Any, ...], y: Array) -> Array:
    """y with its axes permuted, or with what `MOVES` names done to one axis, or an axis in another order."""
    what, argument, *rest = move
    if what == "axes":
        return np.asarray(y.transpose(argument))
    if what == "order":
        return np.asarray(y.take(rest[0], argument))
    return MOVES[what](y, argument)


FORMULAS: dict[str, Formula] = {
    "activation": activation,
    "batchnorm": batchnorm,
    "dense": dense,
    "embedding": embedding,
    "flatten": flatten,
    "groupnorm": groupnorm,
    "instancenorm": instancenorm,
    "layernorm": layernorm,
    "output": output,
    "prelu": prelu,
    "rmsnorm": rmsnorm,
    "scaling": scaling,
}
