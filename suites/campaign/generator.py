"""Networks from seeds: one seed gives the same network for ever.

A network is plain data, in the words of `impls.shim.testing.script`: value 0 is the first input, and a layer's `from`
lists the values that it reads. The draws come from `numpy.random.default_rng([VERSION, seed])`; whoever changes what
is drawn raises VERSION, which every stored result names.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from suites.campaign import further_layers
from suites.campaign.growing import LARGEST_WEIGHT, Growing, Layer

VERSION = 3
MOST_LAYERS = 12
LARGEST_VALUE = 6_000  # elements of one value of an ordinary network
LARGEST_OF_LARGE = 120_000  # of one in LARGE networks, which is short
LARGE = 12

ACTIVATIONS = (
    "relu", "sigmoid", "tanh", "softmax", "softplus", "gelu", "gelu_tanh", "swish", "leaky_relu",
)  # fmt: skip
LOSSES = ("softmax_cross_entropy", "sigmoid_cross_entropy", "mean_squared_error", "mean_absolute_error", "huber")
FILLS = ("normal", "ties", "zeros", "large_mean", "tiny_variance", "saturated", "huge", "tiny", "equal", "mixed")
EXTENTS = (1, 2, 3, 5, 7, 8, 9, 11, 13, 15, 16, 17, 31, 32, 33)
BATCHES = (1, 2, 3, 4, 5, 7, 8, 16, 17, 33)


@dataclass
class Network:
    """Layers, inputs (without the batch; `ids` above 0: integers below it), loss, optimizer and values."""

    seed: int
    dtype: str
    batch: int
    inputs: list[dict[str, Any]]
    layers: list[Layer]
    loss: str
    optimizer: list[Any]
    weights: str = "normal"
    steps: int = 2
    version: int = VERSION

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as it is stored and sent."""
        return asdict(self)

    @property
    def model(self) -> dict[str, Any]:
        """What `impls.shim.testing.script.model_of` takes."""
        return {"layers": self.layers, "inputs": [each["shape"] for each in self.inputs]}


def draw(seed: int) -> Network:
    """The network of a seed."""
    rng = np.random.default_rng([VERSION, seed])
    large = seed % LARGE == LARGE - 1
    batch = int(rng.choice((1, 64, 127, 129, 256))) if large and rng.random() < 0.5 else int(rng.choice(BATCHES))
    growing = Growing(rng, batch, LARGEST_OF_LARGE if large else LARGEST_VALUE, [], [])
    inputs = [_input(growing)]
    if growing.chance(0.15):
        inputs.append(_another_input(growing, inputs[0]))
    wanted = 3 if large else int(rng.integers(1, MOST_LAYERS + 1))
    while len(growing.layers) < wanted:
        _grow(growing)
    _join(growing)
    if not any(layer["kind"] in TRAINED for layer in growing.layers):
        _dense(growing, growing.unread[-1])
    loss = _loss(growing)
    dtype = growing.pick(("float32", "float32", "float64"))
    weights = growing.pick(("normal", "normal", "normal", "small", "large", "equal_units"))
    return Network(seed, dtype, batch, inputs, growing.layers, loss, _optimizer(growing), weights)


def _input(growing: Growing) -> dict[str, Any]:
    kind = growing.pick(("vector", "vector", "sequence", "sequence", "image", "image", "ids"))
    for _ in range(100):
        shape = _shape_of(growing, kind)
        if growing.fits((*shape, 4) if kind == "ids" else shape):
            break
    else:
        shape = {"vector": (3,), "sequence": (4, 3), "image": (5, 4, 2), "ids": (4,)}[kind]
    growing.shapes.append(shape)
    growing.unread.append(0)
    if kind == "ids":
        ids = int(growing.pick((2, 3, 11, 64, 257)))
        masked = growing.chance(0.3)
        units = int(growing.pick((1, 2, 3, 8)))
        growing.add("Embedding", [0], (*shape, units), inputs=ids, units=units, mask_zero=masked)
        growing.masked = masked
        return {"shape": list(shape), "ids": ids, "fill": "ids"}
    return {"shape": list(shape), "ids": 0, "fill": growing.pick(FILLS)}


def _shape_of(growing: Growing, kind: str) -> tuple[int, ...]:
    if kind == "vector":
        return (int(growing.pick((*EXTENTS, 63, 65, 127, 128, 129, 1000))),)
    if kind == "ids":
        return (int(growing.pick((1, 2, 3, 5, 17, 33))),)
    if kind == "sequence":
        return (int(growing.pick((1, 2, 3, 5, 7, 16, 17, 33, 65, 129))), growing.pick(EXTENTS))
    return (growing.pick(EXTENTS), growing.pick(EXTENTS), int(growing.pick((1, 2, 3, 4, 5, 8))))


def _another_input(growing: Growing, first: dict[str, Any]) -> dict[str, Any]:
    """A second input of floats, of the shape of the first value that is no id."""
    at = growing.unread[-1]
    shape = growing.shapes[at]
    growing.shapes.insert(1, shape)  # inputs come first: what was above it moves up by one
    for layer in growing.layers:
        layer["from"] = [source + (source > 0) for source in layer["from"]]
    growing.unread = [value + (value > 0) for value in growing.unread] + [1]
    return {"shape": list(shape), "ids": 0, "fill": growing.pick(FILLS)}


def _grow(growing: Growing) -> None:
    """One more layer on a value that nobody reads, now and then on one that is read already: a branch."""
    at = growing.unread[-1] if growing.chance(0.85) else int(growing.rng.integers(len(growing.shapes)))
    if at < len(growing.shapes) and _is_ids(growing, at):
        at = growing.unread[-1]
    rank = len(growing.shapes[at])
    share = 0.15 if rank == 1 else 0.35
    if growing.chance(share) and growing.pick(further_layers.BY_RANK[rank])(growing, at):
        return
    growing.pick(BY_RANK[rank])(growing, at)


def _is_ids(growing: Growing, at: int) -> bool:
    readers = [layer["kind"] for layer in growing.layers if at in layer["from"]]
    return "Embedding" in readers


def _join(growing: Growing) -> None:
    """Bring all values that nobody reads together into one output."""
    while len(growing.unread) > 1:
        one, other = growing.unread[-2:]
        if growing.shapes[one] == growing.shapes[other]:
            growing.add(growing.pick(("Add", "Concatenate")), [one, other], growing.shapes[one])
            last = growing.layers[-1]
            if last["kind"] == "Concatenate":
                shape = growing.shapes[one]
                growing.shapes[-1] = (*shape[:-1], 2 * shape[-1])
            continue
        flat = [_flat(growing, value) for value in (one, other)]
        width = sum(growing.shapes[value][0] for value in flat)
        growing.add("Concatenate", flat, (width,))


def _flat(growing: Growing, value: int) -> int:
    shape = growing.shapes[value]
    return value if len(shape) == 1 else growing.add("Flatten", [value], (math.prod(shape),))


def _dense(growing: Growing, at: int) -> None:
    shape = growing.shapes[at]
    units = int(growing.pick((1, 2, 3, 5, 8, 9, 17, 33)))
    if shape[-1] * units > LARGEST_WEIGHT or not growing.fits((*shape[:-1], units)):
        units = 1
    growing.add(
        "Dense", [at], (*shape[:-1], units), units=units, use_bias=growing.chance(0.8), activation=_activation(growing)
    )


def _activation(growing: Growing) -> str | None:
    return growing.pick(ACTIVATIONS) if growing.chance(0.4) else None


def _window(growing: Growing, at: int) -> dict[str, Any] | None:
    """Window, strides and padding that fit, and the extents that come out; None: none was found."""
    height, width, _ = growing.shapes[at]
    window = [int(growing.pick((1, 2, 3, 3, 5, 7))) for _ in range(2)]
    strides = [int(growing.pick((1, 1, 1, 2, 3))) for _ in range(2)]
    padding = growing.pick(("same", "valid"))
    if padding == "valid":
        window = [min(window[0], height), min(window[1], width)]
    places = [
        -(-(size - (0 if padding == "same" else k - 1)) // stride)
        for size, k, stride in zip((height, width), window, strides, strict=True)
    ]
    return {"window": window, "strides": strides, "padding": padding, "places": places}


def _convolution(growing: Growing, at: int) -> None:
    found = _window(growing, at)
    assert found
    channels, depthwise = growing.shapes[at][-1], growing.chance(0.3)
    filters = int(growing.pick((1, 2, 3, 4, 8, 9)))
    options: dict[str, Any] = {"kernel_size": found["window"], "strides": found["strides"], "padding": found["padding"]}
    shape = (*found["places"], channels * min(filters, 3) if depthwise else filters)
    if max(found["strides"]) == 1 and found["padding"] == "same" and growing.chance(0.3):
        options["dilation_rate"] = int(growing.pick((2, 3)))
    if not growing.fits(shape):
        return _dense(growing, at)
    options.update(use_bias=growing.chance(0.8), activation=_activation(growing))
    if depthwise:
        growing.add("DepthwiseConv2D", [at], shape, depth_multiplier=min(filters, 3), **options)
    else:
        growing.add("Conv2D", [at], shape, filters=filters, **options)
    return None


def _pooling(growing: Growing, at: int) -> None:
    found = _window(growing, at)
    assert found
    shape = (*found["places"], growing.shapes[at][-1])
    options = {"pool_size": found["window"], "strides": found["strides"], "padding": found["padding"]}
    growing.add(growing.pick(("MaxPool2D", "AveragePool2D")), [at], shape, **options)


def _global_pooling(growing: Growing, at: int) -> None:
    growing.add("GlobalAveragePool2D", [at], growing.shapes[at][-1:])


def _normalisation(growing: Growing, at: int) -> None:
    shape = growing.shapes[at]
    epsilon = growing.pick((1e-3, 1e-5))
    of_channel = growing.batch * math.prod(shape[:-1])  # what one number varies by is rounding alone
    if growing.chance(0.5) and not growing.masked and of_channel > 1:
        growing.add("BatchNorm", [at], shape, momentum=growing.pick((0.9, 0.99)), epsilon=epsilon)
    elif shape[-1] > 1:
        growing.add("LayerNorm", [at], shape, epsilon=epsilon)
    else:
        _activated(growing, at)


def _activated(growing: Growing, at: int) -> None:
    growing.add("Activation", [at], growing.shapes[at], activation=growing.pick(ACTIVATIONS))


def _dropout(growing: Growing, at: int) -> None:
    if len(growing.layers) and growing.chance(0.2):
        growing.add("Dropout", [at], growing.shapes[at], rate=growing.pick((0.1, 0.5)))
    else:
        _activated(growing, at)


def _flatten(growing: Growing, at: int) -> None:
    growing.masked = False
    growing.add("Flatten", [at], (math.prod(growing.shapes[at]),))


def _reshape(growing: Growing, at: int) -> None:
    shape = growing.shapes[at]
    size = math.prod(shape)
    divisors = [n for n in range(1, min(size, 40) + 1) if size % n == 0]
    first = int(growing.pick(divisors))
    growing.masked = False
    growing.add("Reshape", [at], (first, size // first), target_shape=[first, size // first])


def _recurrent(growing: Growing, at: int) -> None:
    steps, inputs = growing.shapes[at]
    units = int(growing.pick((1, 2, 3, 4, 5, 8)))
    if inputs * units * 4 > LARGEST_WEIGHT or steps > 130:
        return _dense(growing, at)
    kind, whole = growing.pick(("SimpleRNN", "LSTM", "GRU")), growing.chance(0.5)
    options: dict[str, Any] = {"units": units, "return_sequences": whole}
    if kind == "GRU":
        options["reset_after"] = growing.chance(0.7)
    if kind == "SimpleRNN":
        options["activation"] = growing.pick(("tanh", "relu", "sigmoid"))
    if growing.chance(0.25):
        width = 2 * units
        shape = (steps, width) if whole else (width,)
        growing.add("Bidirectional", [at], shape, layer={"kind": kind, **options})
    else:
        shape = (steps, units) if whole else (units,)
        growing.add(kind, [at], shape, go_backwards=growing.chance(0.2), **options)
    return None


def _sum(growing: Growing, at: int) -> None:
    """A residual connection where another value has the same shape."""
    others = [
        value
        for value, shape in enumerate(growing.shapes)
        if value != at and shape == growing.shapes[at] and not _is_ids(growing, value)
    ]
    if others:
        growing.add("Add", [at, int(growing.pick(others))], growing.shapes[at])
    else:
        _activated(growing, at)


BY_RANK: dict[int, tuple[Any, ...]] = {
    1: (_dense, _dense, _dense, _normalisation, _activated, _dropout, _sum, _reshape),
    2: (_dense, _recurrent, _recurrent, _recurrent, _normalisation, _activated, _dropout, _sum, _flatten),
    3: (_convolution, _convolution, _convolution, _pooling, _pooling, _normalisation, _activated, _dense, _sum,
        _global_pooling, _flatten, _dropout),
}  # fmt: skip
TRAINED = (
    "Dense", "Conv2D", "DepthwiseConv2D", "BatchNorm", "LayerNorm", "Embedding", "SimpleRNN", "LSTM", "GRU",
    "Bidirectional", *further_layers.TRAINED,
)  # fmt: skip


def _loss(growing: Growing) -> str:
    """Any loss; a cross-entropy of classes needs two of them."""
    loss = growing.pick(LOSSES)
    many = growing.shapes[-1][-1] >= 2
    return "mean_squared_error" if loss == "softmax_cross_entropy" and not many else str(loss)


def _schedule(growing: Growing, rate: float) -> list[Any]:
    """A schedule whose rate changes within the steps of a network."""
    kind = growing.pick(("ExponentialDecay", "ExponentialDecay", "CosineDecay", "PiecewiseConstant"))
    if kind == "ExponentialDecay":
        staircase = growing.chance(0.5)
        return [kind, {"learning_rate": rate, "decay_steps": 2, "decay_rate": 0.5, "staircase": staircase}]
    if kind == "PiecewiseConstant":
        return [kind, {"boundaries": [0], "values": [rate, 0.5 * rate]}]
    options: dict[str, Any] = {"learning_rate": rate, "decay_steps": 3, "alpha": 0.1}
    if growing.chance(0.5):
        options.update(learning_rate=0.0, warmup_target=rate, warmup_steps=2)
    return [kind, options]


def _optimizer(growing: Growing) -> list[Any]:
    kind = growing.pick(("SGD", "SGD", "SGD", "Adam", "AdamW", "RMSprop", "Adagrad"))
    rate: Any = growing.pick((0.1, 0.01, 0.5))
    options: dict[str, Any] = {"learning_rate": _schedule(growing, rate) if growing.chance(0.3) else rate}
    if kind == "SGD" and growing.chance(0.6):
        options.update(momentum=growing.pick((0.5, 0.9)), nesterov=growing.chance(0.5))
    if kind in ("Adam", "AdamW", "RMSprop"):
        options["epsilon"] = growing.pick((1e-3, 1e-7))
    if growing.chance(0.2):
        options[growing.pick(("clipnorm", "global_clipnorm", "clipvalue"))] = growing.pick((0.1, 1.0))
    if growing.chance(0.15):
        options["weight_decay"] = 0.01
    return [kind, options]
