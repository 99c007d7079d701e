"""The shape of every value of a network, without the batch: what a writer of programs has to know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from suites.campaign.further_layers import sequence_places, transposed_places
from suites.campaign.generator import Network
from suites.campaign.growing import Layer

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
        found.append(same_pads(size, (taps - 1) * dilation + 1, stride))
    return found


def same_pads(size: int, reach: int, stride: int) -> tuple[int, int]:
    """Places that SAME adds before and after, for ceil(size / stride) windows; the odd one goes behind."""
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def shape_of(layer: Layer, sources: Sequence[Shape]) -> Shape:
    """What a layer makes of its sources."""
    kind, shape = layer["kind"], sources[0]
    if kind in RANKS and len(shape) != RANKS[kind]:
        raise DoesNotFit(f"{kind} of {shape}")
    if kind in ("Conv2D", "SeparableConv2D", "DepthwiseConv2D", "MaxPool2D", "AveragePool2D"):
        return _windowed(layer, shape)
    if kind in FURTHER:
        return FURTHER[kind](layer, shape)
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
        "GlobalMaxPool2D": lambda: shape[-1:],
        "GlobalMaxPool1D": lambda: shape[-1:],
        "GlobalAveragePool1D": lambda: shape[-1:],
        "Flatten": lambda: (math.prod(shape),),
        "Reshape": lambda: tuple(layer["target_shape"]),
    }
    return tuple(simple[kind]()) if kind in simple else shape


IMAGES = (
    "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "MaxPool2D", "AveragePool2D", "UpSampling2D",
    "ZeroPadding2D", "GlobalAveragePool2D", "GlobalMaxPool2D",
)  # fmt: skip
SEQUENCES = (
    "SimpleRNN", "LSTM", "GRU", "Bidirectional", "Conv1D", "MultiHeadAttention", "PositionEmbedding", "GlobalMaxPool1D",
    "GlobalAveragePool1D",
)  # fmt: skip
RANKS = {**dict.fromkeys(IMAGES, 3), **dict.fromkeys(SEQUENCES, 2)}


def _transposed(layer: Layer, shape: Shape) -> Shape:
    axes = zip(shape, window(layer), pair(layer["strides"]), strict=False)
    return (*(transposed_places(*each, layer["padding"]) for each in axes), layer["filters"])


def _enlarged(layer: Layer, shape: Shape) -> Shape:
    rows, columns = pair(layer["size"])
    return shape[0] * rows, shape[1] * columns, shape[2]


def _with_zeros(layer: Layer, shape: Shape) -> Shape:
    rows, columns = layer["padding"]
    return shape[0] + sum(rows), shape[1] + sum(columns), shape[2]


def _sequence(layer: Layer, shape: Shape) -> Shape:
    options = layer["kernel_size"], layer["strides"], layer["dilation_rate"], layer["padding"]
    places = sequence_places(shape[0], *options)
    if places < 1:
        raise DoesNotFit(f"a window of {layer['kernel_size']} on {shape}")
    return places, layer["filters"]


def _placed(layer: Layer, shape: Shape) -> Shape:
    if shape[0] > layer["length"]:
        raise DoesNotFit(f"{layer['length']} positions for {shape}")
    return shape


def _grouped(layer: Layer, shape: Shape) -> Shape:
    if shape[-1] % layer["groups"]:
        raise DoesNotFit(f"{layer['groups']} groups of {shape}")
    return shape


FURTHER = {
    "Conv2DTranspose": _transposed,
    "UpSampling2D": _enlarged,
    "ZeroPadding2D": _with_zeros,
    "Conv1D": _sequence,
    "PositionEmbedding": _placed,
    "GroupNorm": _grouped,
}


def _windowed(layer: Layer, shape: Shape) -> Shape:
    dilation, places = pair(layer.get("dilation_rate", 1)), []
    for size, taps, stride, spread in zip(shape, window(layer), pair(layer["strides"]), dilation, strict=False):
        reach = 0 if layer["padding"] == "same" else (taps - 1) * spread
        places.append(-(-(size - reach) // stride))
    if min(places) < 1:
        raise DoesNotFit(f"a window of {window(layer)} on {shape}")
    filters = layer.get("filters")
    channels = {
        "Conv2D": filters,
        "SeparableConv2D": filters,
        "DepthwiseConv2D": shape[-1] * layer.get("depth_multiplier", 1),
    }
    return (*places, channels.get(layer["kind"]) or shape[-1])
