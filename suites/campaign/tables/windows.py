"""Convolutions, poolings and products of matrices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from suites.campaign.operations import FLOATS, FULL, Long, Operation, exact, gamma, numbers, plain, register
from suites.campaign.shapes import same_pads
from suites.runner.workers import Arrays

EXTENTS = {1: (1, 2, 5, 8, 9, 16, 17, 33, 65, 129), 2: (1, 2, 3, 5, 7, 8, 9, 16, 17), 3: (1, 2, 3, 4, 5, 7)}
CHANNELS = (1, 2, 3, 4, 5, 8, 16, 17, 32, 33)


def picker(rng: np.random.Generator) -> Callable[[Sequence[int]], int]:
    """A function that draws one of some numbers."""

    def pick(values: Sequence[int]) -> int:
        return int(rng.choice(values))

    return pick


def pads(size: int, taps: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """Places added before and after; SAME puts the odd one after."""
    if padding == "valid":
        return 0, 0
    return same_pads(size, (taps - 1) * dilation + 1, stride)


def windows(x: Any, taps: Any, strides: Any, dilation: Any, padding: str, fill: float = 0.0) -> Any:
    """(N, *places, C, *taps) of (N, *sizes, C)."""
    rank = len(taps)
    width = [pads(*each, padding) for each in zip(x.shape[1:-1], taps, strides, dilation, strict=True)]
    x = np.pad(x, [(0, 0), *width, (0, 0)], constant_values=fill)
    reach = [(k - 1) * d + 1 for k, d in zip(taps, dilation, strict=True)]
    seen = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(1, rank + 1)))
    steps = tuple(slice(None, None, s) for s in strides)
    holes = tuple(slice(None, None, d) for d in dilation)
    return seen[(slice(None), *steps, slice(None), *holes)]


def convolve(x: Any, w: Any, strides: Any, dilation: Any, padding: str, groups: int) -> Any:
    """Cross-correlation of (N, *sizes, C) with (*taps, C / groups, filters)."""
    taps = w.shape[:-2]
    seen = windows(x, taps, strides, dilation, padding)
    rank, inputs, filters = len(taps), w.shape[-2], w.shape[-1] // groups
    parts = []
    for group in range(groups):
        part = seen[(slice(None), *[slice(None)] * rank, slice(group * inputs, (group + 1) * inputs))]
        flat = part.reshape(*part.shape[: rank + 1], -1)
        kernel = np.moveaxis(w[..., group * filters : (group + 1) * filters], -2, 0)
        parts.append(flat @ kernel.reshape(-1, filters))
    return np.concatenate(parts, -1)


def draw_convolution(rank: int) -> Any:
    """Draws sizes, windows, strides or dilation, groups."""

    def draw(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
        pick = picker(rng)
        padding = str(rng.choice(["valid", "same"]))
        groups = pick((1, 1, 1, 2, 3, 4, 8))
        inputs = groups * pick((1, 1, 2, 3)) if groups > 1 else pick(CHANNELS)
        filters = groups * pick((1, 2, 3)) if groups > 1 else pick(CHANNELS)
        strides, dilation = [1] * rank, [1] * rank
        if rng.random() < 0.4:
            strides = [pick((1, 2, 3, 4))] * rank
        elif rng.random() < 0.5:
            dilation = [pick((2, 3))] * rank
        taps = [pick((1, 2, 3, 3, 5, 7)) for _ in range(rank)]
        sizes = [pick(EXTENTS[rank]) for _ in range(rank)]
        if padding == "valid":
            sizes = [max(size, (k - 1) * d + 1) for size, k, d in zip(sizes, taps, dilation, strict=True)]
        batch = pick((1, 1, 2, 3, 5))
        x = numbers(rng, (batch, *sizes, inputs), dtype, str(rng.choice(["normal", "ties", "large_mean"])))
        w = numbers(rng, (*taps, inputs // groups, filters), dtype, "normal")
        options = {"strides": tuple(strides), "dilation": tuple(dilation), "padding": padding, "groups": groups}
        both_sides = [pads(*each, padding) for each in zip(sizes, taps, strides, dilation, strict=True)]
        options["pads"] = tuple(itertools.chain(*reversed(both_sides)))  # torch has the last axis first
        return {"x": x, "w": w}, options

    return draw


def truth_of_convolution(x: Any, w: Any, **options: Any) -> Any:
    options.pop("pads")
    return convolve(x.astype(np.float64), w.astype(np.float64), **options)


def error_of_convolution(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    """gamma_n |x| * |w| for inner products of n terms; twice, for a transform (Winograd, FFT) errs more, and the truth
    is computed in float64."""
    w = arrays["w"]
    given = {key: value for key, value in plain(options).items() if key != "pads"}
    magnitude = convolve(np.abs(arrays["x"]), np.abs(w), **given)
    return (2 * gamma(math.prod(w.shape[:-1]) + 3, u) + 2.0**-48) * magnitude


for rank, letters in ((1, "W"), (2, "HW"), (3, "DHW")):
    first, last = ("0, 2, 1", "0, 2, 1"), ("0, 3, 1, 2", "0, 2, 3, 1")
    order = {1: first, 2: last, 3: ("0, 4, 1, 2, 3", "0, 2, 3, 4, 1")}[rank]
    kernel = {1: "2, 1, 0", 2: "3, 2, 0, 1", 3: "4, 3, 0, 1, 2"}[rank]
    data = f'("N{letters}C", "{letters}IO", "N{letters}C")'
    forms = {
        "torch": f"F.conv{rank}d(F.pad(x.permute({order[0]}), pads), w.permute({kernel}), None, strides, 0, dilation, "
        f"groups).permute({order[1]})",
        "jax": "lax.conv_general_dilated(x, w, strides, padding.upper(), None, dilation, "
        f"{data}, feature_group_count=groups)",
        "tensorflow": "tf.nn.convolution(x, w, strides, padding.upper(), dilations=dilation)",
        "keras": "ops.conv(x, w, strides, padding, 'channels_last', dilation)",
    }
    register(Operation(f"conv{rank}d", forms, truth_of_convolution, draw_convolution(rank), error_of_convolution, FULL))


def draw_transposed(rank: int) -> Any:
    """Draws a transposed convolution of two dimensions or one."""

    def draw(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
        pick = picker(rng)
        inputs, filters, stride = pick(CHANNELS[:6]), pick(CHANNELS[:6]), pick((1, 2, 3))
        taps = [pick((1, 2, 3, 4, 5)) for _ in range(rank)]
        sizes = [pick(EXTENTS[rank][:6]) for _ in range(rank)]
        x = numbers(rng, (pick((1, 2)), *sizes, inputs), dtype, "normal")
        w = numbers(rng, (*taps, filters, inputs), dtype, "normal")
        return {"x": x, "w": w}, {"stride": stride}

    return draw


def transposed(x: Any, w: Any, stride: int) -> Any:
    """VALID: every place adds its kernel, `stride` apart; max(taps - stride, 0) places come after the last stride."""
    rank, taps = w.ndim - 2, w.shape[:-2]
    sizes = [(n - 1) * stride + max(k, stride) for n, k in zip(x.shape[1:-1], taps, strict=True)]
    y = np.zeros((len(x), *sizes, w.shape[-2]))
    for tap in itertools.product(*map(range, taps)):
        part = x.astype(np.float64) @ w[tap].astype(np.float64).T
        where = tuple(
            slice(t, t + (n - 1) * stride + 1, stride) for t, n in zip(tap, x.shape[1 : rank + 1], strict=True)
        )
        y[(slice(None), *where)] += part
    return y


def error_of_transposed(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    magnitude = transposed(np.abs(arrays["x"]), np.abs(arrays["w"]), **plain(options))
    w = arrays["w"]
    return (2 * gamma(w.size / w.shape[-2] + 3, u) + 2.0**-48) * magnitude


for rank in (1, 2):
    forms = {"keras": "ops.conv_transpose(x, w, stride, 'valid', None, 'channels_last')"}
    if rank == 2:
        forms["tensorflow"] = (
            "tf.nn.conv2d_transpose(x, w, [x.shape[0], (x.shape[1] - 1) * stride + max(w.shape[0], stride), "
            "(x.shape[2] - 1) * stride + max(w.shape[1], stride), w.shape[2]], stride, 'VALID')"
        )
        forms["jax"] = "lax.conv_transpose(x, w, (stride, stride), 'VALID', transpose_kernel=True)"
    register(Operation(f"conv{rank}d_transpose", forms, transposed, draw_transposed(rank), error_of_transposed, FULL))


def draw_depthwise(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
    """Draws a depthwise convolution."""
    pick = picker(rng)
    channels, deep, padding = pick(CHANNELS), pick((1, 2, 3)), str(rng.choice(["valid", "same"]))
    stride, dilation = (pick((1, 2, 3)), 1) if rng.random() < 0.6 else (1, pick((2, 3)))
    taps, sizes = [pick((1, 2, 3, 5)) for _ in range(2)], [pick(EXTENTS[2]) for _ in range(2)]
    if padding == "valid":
        sizes = [max(size, (k - 1) * dilation + 1) for size, k in zip(sizes, taps, strict=True)]
    x = numbers(rng, (pick((1, 2)), *sizes, channels), dtype, "normal")
    w = numbers(rng, (*taps, channels, deep), dtype, "normal")
    return {"x": x, "w": w}, {"stride": stride, "dilation": dilation, "padding": padding}


def depthwise(x: Any, w: Any, stride: int, dilation: int, padding: str) -> Any:
    seen = windows(x.astype(np.float64), w.shape[:2], (stride,) * 2, (dilation,) * 2, padding)
    found = np.einsum("nhwcij,ijcm->nhwcm", seen, w.astype(np.float64))
    return found.reshape(*found.shape[:3], -1)


def error_of_depthwise(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    magnitude = depthwise(np.abs(arrays["x"]), np.abs(arrays["w"]), **plain(options))
    return (2 * gamma(math.prod(arrays["w"].shape[:2]) + 3, u) + 2.0**-48) * magnitude


register(
    Operation(
        "depthwise_conv2d",
        {
            "keras": "ops.depthwise_conv(x, w, stride, padding, 'channels_last', dilation)",
            "tensorflow": "tf.nn.depthwise_conv2d(x, w, (1, stride, stride, 1), padding.upper(), None, "
            "(dilation, dilation))",
        },
        depthwise,
        draw_depthwise,
        error_of_depthwise,
        FULL,
    )
)


def draw_pool(rank: int) -> Any:
    """Draws a pooling; windows may be smaller than strides, and padding on one side only."""

    def draw(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
        pick = picker(rng)
        padding, taps = str(rng.choice(["valid", "same"])), [pick((1, 2, 3, 4)) for _ in range(rank)]
        sizes = [pick(EXTENTS[rank]) for _ in range(rank)]
        if padding == "valid":
            sizes = [max(size, k) for size, k in zip(sizes, taps, strict=True)]
        fill = str(rng.choice(["normal", "ties", "integers", "large_mean"]))
        x = numbers(rng, (pick((1, 2, 3)), *sizes, pick(CHANNELS)), dtype, fill)
        if rng.random() < 0.3:
            x = -np.abs(x)
        return {"x": x}, {"taps": tuple(taps), "strides": tuple(pick((1, 2, 3)) for _ in taps), "padding": padding}

    return draw


def max_pool(x: Any, taps: Any, strides: Any, padding: str) -> Any:
    seen = windows(x, taps, strides, [1] * len(taps), padding, -np.inf)
    return seen.max(tuple(range(-len(taps), 0)))


def average_pool(x: Any, taps: Any, strides: Any, padding: str) -> Any:
    """The padding of SAME is not counted."""
    axes, ones = tuple(range(-len(taps), 0)), np.ones_like(x, np.float64)
    total, count = (windows(a.astype(np.float64), taps, strides, [1] * len(taps), padding).sum(axes) for a in (x, ones))
    return total / count


def error_of_average(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    n = math.prod(options["taps"])
    return gamma(n + 4, u) * average_pool(np.abs(arrays["x"]), **plain(options))


for rank in (1, 2, 3):
    draw = draw_pool(rank)
    forms = {
        "keras": "ops.max_pool(x, taps, strides, padding, 'channels_last')",
        "tensorflow": "tf.nn.max_pool(x, taps, strides, padding.upper())",
        "jax": "lax.reduce_window(x, -jnp.inf, lax.max, (1, *taps, 1), (1, *strides, 1), padding.upper())",
    }
    register(Operation(f"max_pool{rank}d", forms, max_pool, draw, exact, FULL))
    forms = {
        "keras": "ops.average_pool(x, taps, strides, padding, 'channels_last')",
        "tensorflow": "tf.nn.avg_pool(x, taps, strides, padding.upper())",
    }
    register(Operation(f"average_pool{rank}d", forms, average_pool, draw, error_of_average, FULL))


def draw_matmul(rng: np.random.Generator, dtype: str) -> tuple[Arrays, dict[str, Any]]:
    """Draws two matrices, or stacks of them of which one may be broadcast."""
    pick = picker(rng)
    n, k, m = (pick((1, 2, 3, 7, 8, 9, 16, 17, 33, 64, 65, 129)) for _ in range(3))
    lead: list[int] = [[], [], [pick((1, 2, 3))], [2, 3]][pick((0, 1, 2, 3))]
    x = numbers(rng, (*lead, n, k), dtype, str(rng.choice(["normal", "ties", "large_mean", "wide"])))
    y = numbers(rng, (*[1 if rng.random() < 0.3 else size for size in lead], k, m), dtype, "normal")
    return {"x": x, "y": y}, {}


def matmul(x: Any, y: Any) -> Any:
    return np.matmul(x.astype(Long), y.astype(Long))


def error_of_matmul(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    x, y = (np.abs(value.astype(np.float64)) for value in arrays.values())
    return gamma(x.shape[-1] + 3, u) * np.matmul(x, y)


FORMS = {
    "torch": "torch.matmul(x, y)", "jax": "jnp.matmul(x, y)", "tensorflow": "tf.matmul(x, y)",
    "keras": "ops.matmul(x, y)",
}  # fmt: skip
register(Operation("matmul", FORMS, matmul, draw_matmul, error_of_matmul, FLOATS))


def matmul_of_integers(x: Any, y: Any, dtype: str) -> Any:
    return np.matmul(x.astype(dtype), y.astype(dtype)).astype(np.int64)


register(Operation("matmul_int", FORMS, matmul_of_integers, draw_matmul, exact, ("int32", "int64")))
