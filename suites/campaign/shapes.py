"""The shape of every value of a network, without the batch: what a writer of programs has to know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from suites.campaign.generator import Layer, Network

Shape = tuple[int, ...]


class DoesNotFit(ValueError):
    """A network whose layers can't follow one another."""


def shapes(network: Network) -> list[Shape]:
    """The shapes of the inputs, then of each layer's value; raises DoesNotFit."""
    found = [tuple(each["shape"]) for each in network.inputs]
    for layer in network.layers:
        found.append(shape_of(layer, [found[at] for at in layer["from"]]))
    return found


def pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def window(layer: Layer) -> tuple[int, int]:
    """The window of a convolution or a pooling."""
    return pair(layer.get("kernel_size") or layer["pool_size"])


def padding_of(layer: Layer, shape: Shape) -> list[tuple[int, int]]:
    """How many places padding adds before and after, by axis; SAME puts the odd one after."""
    if layer["padding"] == "valid":
        return [(0, 0), (0, 0)]
    found = []
    dilations = pair(layer.get("dilation_rate", 1))
    for size, taps, stride, dilation in zip(shape, window(layer), pair(layer["strides"]), dilations, strict=False):
        reach = (taps - 1) * dilation + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        found.append((total // 2, total - total // 2))
    return found


def shape_of(layer: Layer, sources: Sequence[Shape]) -> Shape:
    """What a layer makes of its sources."""
    kind, shape = layer["kind"], sources[0]
    if kind in RANKS and len(shape) != RANKS[kind]:
        raise DoesNotFit(f"{kind} of {shape}")
    if kind in ("Conv2D", "DepthwiseConv2D", "MaxPool2D", "AveragePool2D"):
        return _windowed(layer, shape)
    if kind == "Add" and len(set(sources)) > 1:
        raise DoesNotFit(f"Add of {sources}")
    if kind == "Concatenate":
        if len({each[:-1] for each in sources}) > 1:
            raise DoesNotFit(f"Concatenate of {sources}")
        return (*shape[:-1], sum(each[-1] for each in sources))
    if kind == "Reshape" and math.prod(layer["target_shape"]) != math.prod(shape):
        raise DoesNotFit(f"Reshape of {shape}")
    if kind in ("SimpleRNN", "LSTM", "GRU", "Bidirectional"):
        inner, times = (layer["layer"], 2) if kind == "Bidirectional" else (layer, 1)
        width = times * inner["units"]
        return (shape[0], width) if inner["return_sequences"] else (width,)
    simple: dict[str, Any] = {
        "Dense": lambda: (*shape[:-1], layer["units"]),
        "Embedding": lambda: (*shape, layer["units"]),
        "GlobalAveragePool2D": lambda: shape[-1:],
        "Flatten": lambda: (math.prod(shape),),
        "Reshape": lambda: tuple(layer["target_shape"]),
    }
    return tuple(simple[kind]()) if kind in simple else shape


RANKS = {
    **dict.fromkeys(("Conv2D", "DepthwiseConv2D", "MaxPool2D", "AveragePool2D", "GlobalAveragePool2D"), 3),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU", "Bidirectional"), 2),
}


def _windowed(layer: Layer, shape: Shape) -> Shape:
    dilation, places = pair(layer.get("dilation_rate", 1)), []
    for size, taps, stride, spread in zip(shape, window(layer), pair(layer["strides"]), dilation, strict=False):
        reach = 0 if layer["padding"] == "same" else (taps - 1) * spread
        places.append(-(-(size - reach) // stride))
    if min(places) < 1:
        raise DoesNotFit(f"a window of {window(layer)} on {shape}")
    channels = {"Conv2D": layer.get("filters"), "DepthwiseConv2D": shape[-1] * layer.get("depth_multiplier", 1)}
    return (*places, channels.get(layer["kind"]) or shape[-1])
