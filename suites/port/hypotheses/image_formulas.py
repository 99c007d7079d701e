"""Convolutions, pools, pads and resizes in plain NumPy, forward only, for one, two or three spatial axes.

Every convention that ports get wrong is a setting. x is (N, *spatial, C); kernels are Keras's: (*window, in / groups,
out), and (*window, out, in) where the convolution is transposed. Explicit `pads` ((before, behind), ...) win over
`padding`, explicit `crops` over the padding of a transposed convolution.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray
Config = Mapping[str, Any]
Weights = Mapping[str, Array]
Ends = list[tuple[int, int]]  # (before, behind) of each spatial axis

PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap", "symmetric": "symmetric"}  # NumPy's names


def spatial_axes(x: Array) -> tuple[int, ...]:
    return tuple(range(1, x.ndim - 1))


def same_pads(size: int, window: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME: the odd place goes behind."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def dilation_of(config: Config) -> Sequence[int]:
    return config.get("dilation") or [1] * len(config["window"])


def reaches_of(config: Config) -> tuple[int, ...]:
    """How many places of x a window spans on each axis."""
    return tuple((w - 1) * d + 1 for w, d in zip(config["window"], dilation_of(config), strict=True))


def pads_of(config: Config, x: Array) -> Ends:
    """(before, behind) of each spatial axis."""
    if "pads" in config:
        return [(before, behind) for before, behind in config["pads"]]
    padding, reaches = config["padding"], reaches_of(config)
    if padding == "same":
        sizes = x.shape[1:-1]
        return [same_pads(*each) for each in zip(sizes, reaches, config["strides"], strict=True)]
    if padding == "causal":
        return [(reach - 1, 0) for reach in reaches]
    if padding == "valid":
        return [(0, 0) for _ in reaches]
    return [(p, p) for p in padding]


def padded(x: Array, ends: Sequence[tuple[int, int]], mode: str = "constant", value: float = 0.0) -> Array:
    """x with its spatial axes padded; negative numbers cut."""
    grown = [(max(before, 0), max(behind, 0)) for before, behind in ends]
    if mode in PAD_MODES:
        x = np.pad(x, [(0, 0), *grown, (0, 0)], mode=PAD_MODES[mode])  # type: ignore[call-overload]
    else:
        x = np.pad(x, [(0, 0), *grown, (0, 0)], constant_values=value)
    for axis, (before, behind) in enumerate(ends, 1):
        cut = slice(max(-before, 0), x.shape[axis] - max(-behind, 0))
        x = x[(slice(None),) * axis + (cut,)]
    return x


def windows(config: Config, x: Array, fill: float) -> Array:
    """(N, *out, C, *window): what each window sees."""
    ends, mode = pads_of(config, x), config.get("pad_mode", "zeros")
    if config.get("ceil_mode"):
        ends = _ceiled(config, x, ends)
    x = padded(x, ends, mode, fill)
    seen = sliding_window_view(x, reaches_of(config), spatial_axes(x))
    strided = tuple(slice(None, None, stride) for stride in config["strides"])
    dilated = tuple(slice(None, None, dilation) for dilation in dilation_of(config))
    return np.asarray(seen[(slice(None), *strided, slice(None), *dilated)])


def _ceiled(config: Config, x: Array, ends: Ends) -> Ends:
    """More behind, so that a last window that starts inside of x or of its left pad is not lost."""
    found = []
    for size, (before, behind), reach, stride in zip(
        x.shape[1:-1], ends, reaches_of(config), config["strides"], strict=True
    ):
        count = -(-(size + before + behind - reach) // stride) + 1
        count -= (count - 1) * stride >= size + before
        found.append((before, behind + max((count - 1) * stride + reach - size - before - behind, 0)))
    return found


def kernel_of(config: Config, kernel: Array) -> Array:
    """The kernel as a port with these slips takes it."""
    axes = tuple(range(kernel.ndim - 2))
    if config.get("flipped"):
        kernel = np.flip(kernel, axes)
    if config.get("transposed"):
        kernel = kernel.swapaxes(axes[0], axes[-1])
    return kernel


def convolution(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """y[n, o, k] = sum over the window w and the channels c of the group of k of x[n, o s + w d, c] K[w, c, k]."""
    kernel, groups = kernel_of(config, weights["kernel"]), config.get("groups", 1)
    seen = windows(config, x, 0.0)
    rank = x.ndim - 2
    ins = _channels(config, x.shape[-1], groups)
    outs = np.split(np.arange(kernel.shape[-1]), groups)
    parts = []
    for inputs, outputs in zip(ins, outs, strict=True):
        axes = [rank + 1, *range(rank + 2, 2 * rank + 2)], [rank, *range(rank)]
        parts.append(np.tensordot(seen.take(inputs, rank + 1), kernel[..., outputs], axes))
    return np.asarray(np.concatenate(parts, -1) + weights.get("bias", 0.0))


def _channels(config: Config, count: int, groups: int) -> list[Array]:
    """Which input channels each group sees: neighbours, or every `groups`-th where `interleaved`."""
    if config.get("interleaved"):
        return [np.arange(start, count, groups) for start in range(groups)]
    return np.split(np.arange(count), groups)


def depthwise_convolution(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """Kernel (*window, C, M); output channel c M + m, or m C + c where `multiplier_first`.

    `kernels_by_multiplier`: kernel m C + c is the one of output c M + m, so that channels get each other's.
    """
    seen = windows(config, x, 0.0)
    kernel = np.moveaxis(kernel_of(config, weights["kernel"]), (-2, -1), (0, 1))  # (C, M, *window)
    if config.get("kernels_by_multiplier"):
        kernel = kernel.swapaxes(0, 1).reshape(kernel.shape)
    rank = x.ndim - 2
    letters = "xyz"[:rank]
    y = np.einsum(f"n...c{letters},cm{letters}->n...cm", seen, kernel, optimize=True)
    y = y.swapaxes(-1, -2) if config.get("multiplier_first") else y
    return np.asarray(y.reshape(*y.shape[:-2], -1) + weights.get("bias", 0.0))


def crops_of(config: Config, x: Array) -> Ends:
    """What a transposed convolution cuts off (before, behind) of its full result; negative: zeros are added."""
    if "crops" in config:
        return [(before, behind) for before, behind in config["crops"]]
    extra = config.get("output_padding") or [None] * len(config["window"])
    found = []
    for axis, (reach, stride) in enumerate(zip(reaches_of(config), config["strides"], strict=True)):
        found.append(_crop(config["padding"], axis, reach, stride, extra[axis]))
    return found


def _crop(padding: Any, axis: int, reach: int, stride: int, extra: int | None) -> tuple[int, int]:
    """Keras's (its `convert_conv_transpose_padding_args_from_keras_to_jax`), or torch's by a number."""
    if padding == "valid":
        return 0, -max(stride - reach, 0) if extra is None else -extra
    if padding != "same":
        return padding[axis], padding[axis] - (extra or 0)
    total = stride + reach - 2 if extra is None else reach + reach % 2 - 2 + extra
    before = min(total // 2 + total % 2, reach - 1)
    return reach - 1 - before, reach - 1 - (total - before)


def transposed_convolution(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """The gradient of a convolution: each place p of x adds K x to the window that starts at s p; then the crops."""
    kernel, groups = kernel_of(config, weights["kernel"]), config.get("groups", 1)
    strides, dilation, reaches = config["strides"], dilation_of(config), reaches_of(config)
    outs = kernel.shape[-2] * groups
    full = [(n - 1) * s + r for n, s, r in zip(x.shape[1:-1], strides, reaches, strict=True)]
    y = np.zeros((len(x), *full, outs))
    for place in itertools.product(*map(range, config["window"])):
        spans = []
        for at, d, n, s in zip(place, dilation, x.shape[1:-1], strides, strict=True):
            spans.append(slice(at * d, at * d + (n - 1) * s + 1, s))
        y[(slice(None), *spans)] += _grouped_product(x, kernel[place], groups)
    return np.asarray(
        padded(y, [(-before, -behind) for before, behind in crops_of(config, x)]) + weights.get("bias", 0.0)
    )


def _grouped_product(x: Array, matrix: Array, groups: int) -> Array:
    """x (..., in) times the transposed matrix (out / groups, in), group by group."""
    parts = [a @ b.T for a, b in zip(np.split(x, groups, -1), np.split(matrix, groups, -1), strict=True)]
    return np.concatenate(parts, -1)


def maxpool(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    fill = config.get("fill", -np.inf)
    return np.asarray(windows(config, x, fill).max(tuple(range(-len(config["window"]), 0))))


def avgpool(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """A mean over what a window sees; over its whole size where `count_padding`."""
    axes = tuple(range(-len(config["window"]), 0))
    total = windows(config, x, 0.0).sum(axes)
    if config.get("count_padding"):
        return np.asarray(total / math.prod(config["window"]))
    zeros = {**config, "pad_mode": "zeros"}
    return np.asarray(total / windows(zeros, np.ones_like(x), 0.0).sum(axes))


def global_pool(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """Over all spatial axes: `take` is mean, max or sum."""
    axes = spatial_axes(x)
    take = config.get("take", "mean")
    if take == "max":
        return np.asarray(x.max(axes))
    return np.asarray(x.sum(axes) if take == "sum" else x.mean(axes))


def pad(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    return padded(x, config["pads"], config.get("mode", "constant"), config.get("value", 0.0))


def source_places(config: Config, size: int, out: int) -> Array:
    """Where in x each place of the output looks."""
    places = np.arange(out, dtype=float)
    if config.get("align_corners"):
        return places * ((size - 1) / max(out - 1, 1))
    scale = size / out
    return (places + 0.5) * scale - 0.5 if config.get("half_pixel", True) else places * scale


def resize_matrix(config: Config, size: int, out: int) -> Array:
    """(out, size): what each place of the output takes of each place of x."""
    places, method = source_places(config, size, out), config["method"]
    if method == "nearest":
        return _nearest_matrix(config, places, size)
    reach = {"bilinear": 1.0, "bicubic": 2.0}[method]
    stretch = max(size / out, 1.0) if config.get("antialias") else 1.0
    first = np.floor(places - reach * stretch).astype(int) + 1
    matrix = np.zeros((out, size))
    for offset in range(math.ceil(2 * reach * stretch) + 1):
        seen = first + offset
        weight = _weight(config, (seen - places) / stretch)
        if config.get("antialias") or config.get("outside") == "dropped":
            weight = np.where((seen >= 0) & (seen < size), weight, 0.0)
        np.add.at(matrix, (np.arange(out), np.clip(seen, 0, size - 1)), weight)
    return np.asarray(matrix / matrix.sum(1, keepdims=True))


def _nearest_matrix(config: Config, places: Array, size: int) -> Array:
    """`rounding`: floor, or to the nearest with halves up."""
    rounded = np.floor(places + 1e-9) if config.get("rounding", "floor") == "floor" else np.floor(places + 0.5 + 1e-9)
    return np.asarray(np.eye(size)[np.clip(rounded.astype(int), 0, size - 1)])


def _weight(config: Config, distance: Array) -> Array:
    """The hat, or Keys's cubic (1981, equation 4) with its `cubic` constant a: torch -0.75, TensorFlow -0.5."""
    d = np.abs(distance)
    if config["method"] == "bilinear":
        return np.asarray(np.maximum(1 - d, 0.0))
    a = config.get("cubic", -0.75)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def resize(config: Config, weights: Weights, x: Array, training: bool) -> Array:
    """Along each spatial axis to `size` by `resize_matrix`."""
    for axis, out in enumerate(config["size"], 1):
        matrix = resize_matrix(config, x.shape[axis], out)
        x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return x


FORMULAS = {
    **{f"conv{n}d": convolution for n in (1, 2, 3)},
    **{f"conv{n}d_transpose": transposed_convolution for n in (1, 2, 3)},
    **{f"depthwise_conv{n}d": depthwise_convolution for n in (1, 2)},
    **{f"maxpool{n}d": maxpool for n in (1, 2, 3)},
    **{f"avgpool{n}d": avgpool for n in (1, 2, 3)},
    "adaptive_pool": global_pool,
    "pad": pad,
    "resize": resize,
}
