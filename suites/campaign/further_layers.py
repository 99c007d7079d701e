"""Draws layers that came later: transposed and separable convolutions, sequences, groups, attention, resizing.

Each adds a layer that reads value `at`, or gives False where none fits.
"""

from __future__ import annotations

import math
from typing import Any

from suites.campaign.growing import LARGEST_WEIGHT, Growing

MOST_SCORES = 20_000  # of attention: queries times keys times heads times examples


def transposed_convolution(growing: Growing, at: int) -> bool:
    *sizes, _ = growing.shapes[at]
    window = [int(growing.pick((1, 2, 3, 3, 4, 5))) for _ in range(2)]
    strides = [int(growing.pick((1, 2, 2, 3))) for _ in range(2)]
    padding, filters = growing.pick(("same", "valid")), int(growing.pick((1, 2, 3, 4, 8)))
    places = [transposed_places(*each, padding) for each in zip(sizes, window, strides, strict=True)]
    if not growing.fits((*places, filters)):
        return False
    growing.add(
        "Conv2DTranspose", [at], (*places, filters), filters=filters, kernel_size=window, strides=strides,
        padding=padding, use_bias=growing.chance(0.8),
    )  # fmt: skip
    return True


def transposed_places(size: int, window: int, stride: int, padding: str) -> int:
    """How many places come out of one axis of a transposed convolution."""
    return size * stride if padding == "same" else (size - 1) * stride + max(window, stride)


def separable_convolution(growing: Growing, at: int) -> bool:
    *sizes, channels = growing.shapes[at]
    window, filters = int(growing.pick((1, 2, 3, 5))), int(growing.pick((1, 2, 3, 8)))
    if not growing.fits((*sizes, max(filters, 2 * channels))):
        return False
    growing.add(
        "SeparableConv2D", [at], (*sizes, filters), filters=filters, kernel_size=[window, window], strides=[1, 1],
        padding="same", depth_multiplier=int(growing.pick((1, 2))), use_bias=growing.chance(0.8),
    )  # fmt: skip
    return True


def upsampling(growing: Growing, at: int) -> bool:
    height, width, channels = growing.shapes[at]
    size = [int(growing.pick((1, 2, 2, 3))) for _ in range(2)]
    shape = (height * size[0], width * size[1], channels)
    if not growing.fits(shape):
        return False
    growing.add("UpSampling2D", [at], shape, size=size, interpolation=growing.pick(("nearest", "bilinear")))
    return True


def zero_padding(growing: Growing, at: int) -> bool:
    height, width, channels = growing.shapes[at]
    top, bottom, left, right = (int(growing.pick((0, 1, 2))) for _ in range(4))
    edges = [[top, bottom], [left, right]]
    shape = (height + top + bottom, width + left + right, channels)
    if not growing.fits(shape):
        return False
    growing.add("ZeroPadding2D", [at], shape, padding=edges)
    return True


def convolution_of_sequences(growing: Growing, at: int) -> bool:
    steps, _ = growing.shapes[at]
    window, filters = int(growing.pick((1, 2, 3, 3, 5))), int(growing.pick((1, 2, 3, 8, 9)))
    strides, dilation = int(growing.pick((1, 1, 2, 3))), 1
    if strides == 1:
        dilation = int(growing.pick((1, 1, 2, 3)))
    padding = growing.pick(("same", "valid", "causal"))
    places = sequence_places(steps, window, strides, dilation, padding)
    if places < 1 or not growing.fits((places, filters)):
        return False
    growing.masked = False
    growing.add(
        "Conv1D", [at], (places, filters), filters=filters, kernel_size=window, strides=strides, padding=padding,
        dilation_rate=dilation, use_bias=growing.chance(0.8),
    )  # fmt: skip
    return True


def sequence_places(steps: int, window: int, stride: int, dilation: int, padding: str) -> int:
    """How many places a convolution of sequences has."""
    reach = (window - 1) * dilation if padding == "valid" else 0
    return -(-(steps - reach) // stride)


def attention(growing: Growing, at: int) -> bool:
    steps, width = growing.shapes[at]
    heads, units = int(growing.pick((1, 2, 3, 4))), int(growing.pick((1, 2, 4, 8, 9)))
    too_many = steps * steps * heads * growing.batch > MOST_SCORES
    if too_many or width * heads * units > LARGEST_WEIGHT or not growing.fits((steps, heads * units)):
        return False
    options: dict[str, Any] = {"num_heads": heads, "key_dim": units, "use_bias": growing.chance(0.7)}
    if growing.chance(0.5):
        options["causal"] = True
    if heads in (2, 4) and growing.chance(0.25):
        options["num_key_value_heads"] = heads // 2
    if units % 2 == 0 and growing.chance(0.15):
        options["rope"] = 10000.0
    growing.add("MultiHeadAttention", [at], (steps, width), **options)
    return True


def positions(growing: Growing, at: int) -> bool:
    steps, width = growing.shapes[at]
    growing.add("PositionEmbedding", [at], (steps, width), length=steps + int(growing.pick((0, 0, 3))))
    return True


def group_norm(growing: Growing, at: int) -> bool:
    *places, channels = growing.shapes[at]
    of_channel = math.prod(places)
    groups = [n for n in (1, 2, 3, 4, 8) if channels % n == 0 and of_channel * channels > n]  # no group of one number
    if growing.masked or not groups:
        return False
    growing.add("GroupNorm", [at], growing.shapes[at], groups=int(growing.pick(groups)), epsilon=_epsilon(growing))
    return True


def rms_norm(growing: Growing, at: int) -> bool:
    growing.add("RMSNorm", [at], growing.shapes[at], epsilon=_epsilon(growing))
    return True


def _epsilon(growing: Growing) -> float:
    return float(growing.pick((1e-3, 1e-5, 1e-6)))


def prelu(growing: Growing, at: int) -> bool:
    shape = growing.shapes[at]
    shared = list(range(1, len(shape))) if growing.chance(0.5) else []
    growing.add("PReLU", [at], shape, shared_axes=shared)
    return True


def global_maximum(growing: Growing, at: int) -> bool:
    shape = growing.shapes[at]
    growing.masked = False
    growing.add("GlobalMaxPool2D" if len(shape) == 3 else "GlobalMaxPool1D", [at], shape[-1:])
    return True


def global_average_of_sequences(growing: Growing, at: int) -> bool:
    growing.masked = False
    growing.add("GlobalAveragePool1D", [at], growing.shapes[at][-1:])
    return True


BY_RANK: dict[int, tuple[Any, ...]] = {
    1: (rms_norm, prelu, group_norm),
    2: (
        attention, attention, attention, convolution_of_sequences, convolution_of_sequences, rms_norm, group_norm,
        positions, prelu, global_maximum, global_average_of_sequences,
    ),
    3: (
        transposed_convolution, transposed_convolution, separable_convolution, upsampling, zero_padding, group_norm,
        rms_norm, prelu, global_maximum,
    ),
}  # fmt: skip
TRAINED = (
    "Conv1D", "Conv2DTranspose", "SeparableConv2D", "MultiHeadAttention", "PositionEmbedding", "GroupNorm", "RMSNorm",
    "PReLU",
)  # fmt: skip
