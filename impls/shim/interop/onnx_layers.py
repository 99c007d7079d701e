"""Layers that ONNX has an operator for, or whose own code needs a size that only the runtime knows.

All others are exported by their own code, see `impls.shim.interop.onnx`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from impls.shim.attention import MultiHeadAttention, PositionEmbedding
from impls.shim.backends.contract import Array, Arrays
from impls.shim.further_layers import (
    Conv1D,
    Conv2DTranspose,
    GlobalAveragePool1D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GroupNorm,
    TimeDistributed,
    UpSampling2D,
    ZeroPadding2D,
)
from impls.shim.layer import Layer, Run

if TYPE_CHECKING:
    from impls.shim.interop.onnx_graph import Graph, Value

Writer: TypeAlias = Callable[[Any, "Graph", Arrays, "Value", Run], Array]  # (layer, graph, weights, x, run)

NOT_EXPORTED: dict[type[Layer], str] = {}  # kinds of layers and why they can't be written down; none now


def written(layer: Layer) -> Layer:
    """`layer`, or a copy of it that writes down its operator, whose errors name it."""
    kind = type(layer)
    if kind in NOT_EXPORTED:
        raise ValueError(f"{told(layer)} can't be exported to ONNX: {NOT_EXPORTED[kind]}")
    if isinstance(layer, MultiHeadAttention) and layer.rope is not None and None in layer.steps:
        raise ValueError(
            f"{told(layer)} turns its places, which can be exported to ONNX with a fixed number of steps only"
        )
    twin = copy.copy(layer)
    computing = next(base for base in kind.__mro__ if "call" in vars(base))  # a layer of the user's may inherit it
    call = partial(WRITERS[computing], layer) if computing in WRITERS else layer.call
    twin.call = partial(named, layer, call)  # type: ignore[method-assign]
    return twin


def told(layer: Layer) -> str:
    return f"layer {layer.name!r} ({type(layer).__name__})"


def named(layer: Layer, call: Callable[..., Array], graph: Graph, p: Arrays, x: Value, run: Run) -> Array:
    """What a layer writes down; what it asks for in vain becomes an error with its name."""
    try:
        return call(graph, p, x, run)
    except (AttributeError, TypeError, IndexError) as error:
        raise ValueError(
            f"{told(layer)} can't be exported to ONNX: its code asks for what the exporter does not write down: {error}"
        ) from error


def add_positions(layer: PositionEmbedding, graph: Graph, p: Arrays, x: Value, run: Run) -> Value:
    table = p[layer.table]
    if x.shape[1] is not None:
        return x + table[: x.shape[1]]  # type: ignore[no-any-return]
    return x + graph.node("Slice", table, np.array([0]), extents(graph, x, 1, 2), np.array([0]))  # type: ignore[no-any-return]


def extents(graph: Graph, x: Value, start: int, end: int = 9) -> Value:
    """The extents of the axes `start` to `end` (9: all further ones), as the runtime finds them."""
    return graph.node("Slice", graph.node("Shape", x), np.array([start]), np.array([end]))


def convolve_sequence(layer: Conv1D, graph: Graph, p: Arrays, x: Value, run: Run) -> Array:
    run.mask = None
    bias = p[layer.bias] if layer.bias else None
    y = graph.conv(x, p[layer.kernel], bias, (layer.strides,), (layer.dilation,), layer.padding)
    return layer.activation(graph, y) if layer.activation else y  # type: ignore[arg-type]


def convolve_transposed(layer: Conv2DTranspose, graph: Graph, p: Arrays, x: Value, run: Run) -> Array:
    """Where the window is smaller than the stride, the zeros behind the last place are ONNX's `output_padding`."""
    sizes = list(zip(layer.window, layer.strides, strict=True))
    over = [max(window - stride, 0) if layer.padding == "same" else 0 for window, stride in sizes]
    before = [n // 2 for n in over]
    after = [n - n // 2 for n in over]
    kernel = p[layer.kernel].transpose(3, 2, 0, 1)  # (KH, KW, filters, C) to (C, filters, KH, KW)
    biases = [p[layer.bias]] if layer.bias else []
    behind = [max(stride - window, 0) for window, stride in sizes]
    y = graph.image(
        "ConvTranspose", x, kernel, *biases, strides=layer.strides, pads=before + after, output_padding=behind
    )
    return layer.activation(graph, y) if layer.activation else y  # type: ignore[arg-type]


def pad_image(layer: ZeroPadding2D, graph: Graph, p: Arrays, x: Value, run: Run) -> Value:
    (top, bottom), (left, right) = layer.edges
    return graph.node("Pad", x, np.array([0, top, left, 0, 0, bottom, right, 0]))


def resize_image(layer: UpSampling2D, graph: Graph, p: Arrays, x: Value, run: Run) -> Value:
    scales = graph.held(np.array([1, 1, *layer.size], np.float32))
    if layer.interpolation == "bilinear":
        return graph.image("Resize", x, None, scales, mode="linear", coordinate_transformation_mode="half_pixel")
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return graph.image("Resize", x, None, scales, mode="nearest", **how)


def largest_place(layer: GlobalMaxPool1D | GlobalMaxPool2D, graph: Graph, p: Arrays, x: Value, run: Run) -> Value:
    run.mask = None
    return graph.node("ReduceMax", x, axes=list(range(1, len(x.shape) - 1)), keepdims=0)


def mean_place(layer: GlobalAveragePool1D, graph: Graph, p: Arrays, x: Value, run: Run) -> Array:
    mask, run.mask = run.mask, None
    if mask is None:
        return graph.mean(x, 1)
    kept = graph.where(mask[:, :, None], 1.0, 0.0)
    total = graph.node("ReduceSum", x * kept, np.array([1]), keepdims=0)
    return total / graph.node("ReduceSum", kept, np.array([1]), keepdims=0)


def norm_groups(layer: GroupNorm, graph: Graph, p: Arrays, x: Value, run: Run) -> Array:
    split = np.array([0, -1, layer.groups, x.shape[-1] // layer.groups])
    grouped = graph.node("Reshape", x, split)
    centred = grouped - graph.mean(grouped, (1, 3), keepdims=True)
    scaled = centred / graph.sqrt(graph.mean(centred * centred, (1, 3), keepdims=True) + layer.epsilon)
    y = graph.node("Reshape", scaled, graph.node("Shape", x)).shaped(x.shape)
    return y * p[layer.gamma] + p[layer.beta]


def call_at_every_place(layer: TimeDistributed, graph: Graph, p: Arrays, x: Value, run: Run) -> Value:
    flat = graph.node("Concat", np.array([-1]), extents(graph, x, 2), axis=0)
    places = graph.node("Reshape", x, flat).shaped((None, *x.shape[2:]))
    inner = Run(run.training)
    if run.mask is not None:
        within = graph.node("Concat", np.array([-1]), extents(graph, run.mask, 2), axis=0)
        inner.mask = graph.node("Reshape", run.mask, within).shaped((None, *run.mask.shape[2:]))
    y = written(layer.layer).call(graph, p, places, inner)  # type: ignore[arg-type]
    if run.mask is not None and len(run.mask.shape) > len(layer.each) + 1:
        run.mask = None
    both = graph.node("Concat", extents(graph, x, 0, 2), extents(graph, y, 1), axis=0)
    return graph.node("Reshape", y, both)


WRITERS: dict[type[Layer], Writer] = {
    PositionEmbedding: add_positions,
    Conv1D: convolve_sequence,
    Conv2DTranspose: convolve_transposed,
    ZeroPadding2D: pad_image,
    UpSampling2D: resize_image,
    GlobalMaxPool1D: largest_place,
    GlobalMaxPool2D: largest_place,
    GlobalAveragePool1D: mean_place,
    GroupNorm: norm_groups,
    TimeDistributed: call_at_every_place,
}
