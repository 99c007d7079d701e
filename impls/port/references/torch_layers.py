"""Convolutions, pools and resizes of 1, 2 and 3 spatial axes in PyTorch."""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F

from impls.port.references import SIZES, Arrays

torch.set_default_dtype(torch.float64)

CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
MAX_POOLS = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
AVERAGE_POOLS = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
RESIZES: dict[str, dict[str, str | bool]] = {
    "nearest": {"mode": "nearest"},
    "nearest-exact": {"mode": "nearest-exact"},
    "bilinear": {"mode": "bilinear"},
    "bicubic": {"mode": "bicubic"},
    "bilinear corners": {"mode": "bilinear", "align_corners": True},
    "bicubic corners": {"mode": "bicubic", "align_corners": True},
    "bilinear antialias": {"mode": "bilinear", "antialias": True},
    "bicubic antialias": {"mode": "bicubic", "antialias": True},
}


def compute(rng: np.random.Generator) -> Arrays:
    found: Arrays = {}
    for rank, size in SIZES.items():
        found.update((f"layers/{rank}/{name}", value) for name, value in of_rank(rng, rank, size).items())
    x = channels_first(found["layers/2/x"])
    for (name, options), out in itertools.product(RESIZES.items(), ((18, 16), (5, 6), (11, 13))):
        found[f"layers/resize/{name}/{out[0]}x{out[1]}"] = channels_last(F.interpolate(x, size=out, **options))
    return found


def of_rank(rng: np.random.Generator, rank: int, size: tuple[int, ...]) -> Arrays:
    """Convolutions and pools over this many axes: images (3, *size, 4)."""
    conv = CONVOLUTIONS[rank - 1]
    maxpool = MAX_POOLS[rank - 1]
    window = [3] * rank
    found: Arrays = {"x": rng.normal(size=(3, *size, 4)), "kernel": rng.normal(size=(*window, 4, 6))}
    found["grouped"] = rng.normal(size=(*window, 2, 6))
    found["up"] = rng.normal(size=(*window, 5, 4))
    x = channels_first(found["x"])
    k = native_kernel(found["kernel"])
    flipped = native_kernel(np.flip(found["kernel"], tuple(range(rank))))
    computed = {
        "pad 1": conv(x, k, None, 2, 1),
        "dilated": conv(x, k, None, 1, 2, 2),
        "flipped": conv(x, flipped, None, 2, 1),
        "groups": conv(x, native_kernel(found["grouped"]), None, 1, 1, 1, 2),
        "reflect": conv(F.pad(x, [1] * 2 * rank, mode="reflect"), k),
        "transposed": TRANSPOSED[rank - 1](x, native_kernel(found["up"]), None, 2, 1, 1),
        "maxpool ceil": maxpool(x, 3, 2, 1, ceil_mode=True),
        "maxpool zeros": maxpool(F.pad(-x.abs(), [1] * 2 * rank), 3, 2),
        "avgpool": AVERAGE_POOLS[rank - 1](x, 3, 2, 1),
    }
    found.update((name, channels_last(y)) for name, y in computed.items())
    return found


def channels_first(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def channels_last(y: torch.Tensor) -> np.ndarray:
    return np.moveaxis(np.asarray(y), 1, -1)


def native_kernel(kernel: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1))))
