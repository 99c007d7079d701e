"""Images, and transforms of signals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from suites.campaign.operations import exact, gamma, numbers, typed
from suites.campaign.tables.composed import Draw, Drawn, table
from suites.campaign.tables.windows import picker
from suites.runner.workers import Arrays


def fourier() -> Draw:
    def draw(rng: np.random.Generator, dtype: str) -> Drawn:
        n = picker(rng)((1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 31, 64, 97, 128, 1000, 1025))
        return {"x": numbers(rng, (picker(rng)((1, 2, 3)), n), dtype, "normal")}, {}

    return draw


def of_fourier(arrays: Arrays, truth: Any, options: Any, u: float) -> Any:
    """Higham 2002, theorem 24.2, with room for transforms of lengths that are prime."""
    x = arrays["x"]
    size = np.linalg.norm(x, axis=-1, keepdims=True) * math.sqrt(x.shape[-1])
    return 40 * math.log2(x.shape[-1] + 2) * u * size + np.zeros(np.shape(truth))


table("fft_real", lambda x: np.fft.fft(x).real, {"torch": "torch.fft.fft(x).real", "jax": "jnp.fft.fft(x).real",
      "tensorflow": "tf.math.real(tf.signal.fft(tf.complex(x, x * 0)))", "keras": "ops.fft((x, x * 0))[0]"},
      fourier(), of_fourier)  # fmt: skip
table("rfft_imag", lambda x: np.fft.rfft(x).imag, {"torch": "torch.fft.rfft(x).imag", "jax": "jnp.fft.rfft(x).imag",
      "tensorflow": "tf.math.imag(tf.signal.rfft(x))", "keras": "ops.rfft(x)[1]"}, fourier(), of_fourier)  # fmt: skip
table("irfft_odd", lambda x: np.fft.irfft(np.fft.rfft(x), x.shape[-1]),
      {"torch": "torch.fft.irfft(torch.fft.rfft(x), x.shape[-1])",
       "jax": "jnp.fft.irfft(jnp.fft.rfft(x), x.shape[-1])", "keras": "ops.irfft(ops.rfft(x), x.shape[-1])",
       "tensorflow": "tf.signal.irfft(tf.signal.rfft(x), [x.shape[-1]])"}, fourier(), of_fourier)  # fmt: skip


def image(channels: int = 0) -> Draw:
    def draw(rng: np.random.Generator, dtype: str) -> Drawn:
        pick = picker(rng)
        extents = (pick((1, 2)), pick((1, 2, 3, 4, 5, 8)), pick((1, 2, 3, 5, 7, 8)), channels or pick((1, 2, 3)))
        x = np.abs(numbers(rng, extents, dtype, "normal"))
        return {"x": typed(x / (1 + x), dtype)}, {"h": pick((1, 2, 3, 4, 7, 9)), "w": pick((1, 2, 3, 5, 6, 16))}

    return draw


def linear(x: Any, size: int, axis: int) -> Any:
    """Half-pixel centres, the edge repeated."""
    n = x.shape[axis]
    at = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
    low = np.floor(at).astype(int)
    high, shape_of = np.minimum(low + 1, n - 1), [1] * x.ndim
    shape_of[axis] = size
    share = (at - low).reshape(shape_of)
    return np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share


def nearest(x: Any, size: int, axis: int) -> Any:
    n = x.shape[axis]
    return np.take(x, np.minimum(np.floor((np.arange(size) + 0.5) * n / size).astype(int), n - 1), axis)


table("resize_bilinear", lambda x, h, w: linear(linear(x.astype(float), h, 1), w, 2),
      {"keras": "ops.image.resize(x, (h, w), 'bilinear', data_format='channels_last')",
       "tensorflow": "tf.image.resize(x, (h, w), 'bilinear')",
       "jax": "jax.image.resize(x, (x.shape[0], h, w, x.shape[3]), 'bilinear', antialias=False)",
       "torch": "F.interpolate(x.permute(0, 3, 1, 2), (h, w), mode='bilinear').permute(0, 2, 3, 1)"}, image(),
      lambda arrays, truth, options, u: np.full(np.shape(truth), 2.0**-19), ("float32",))  # fmt: skip
table("resize_nearest", lambda x, h, w: nearest(nearest(x, h, 1), w, 2),
      {"keras": "ops.image.resize(x, (h, w), 'nearest', data_format='channels_last')",
       "tensorflow": "tf.image.resize(x, (h, w), 'nearest')",
       "jax": "jax.image.resize(x, (x.shape[0], h, w, x.shape[3]), 'nearest')",
       "torch": "F.interpolate(x.permute(0, 3, 1, 2), (h, w), mode='nearest-exact').permute(0, 2, 3, 1)"}, image(),
      exact, ("float32",))  # fmt: skip


def hsv(x: Any, h: int, w: int) -> Any:
    import colorsys

    flat = [colorsys.rgb_to_hsv(*pixel) for pixel in x.reshape(-1, 3).tolist()]
    return np.array(flat).reshape(x.shape)


table("rgb_to_hsv", hsv, {"keras": "ops.image.rgb_to_hsv(x, data_format='channels_last')",
      "tensorflow": "tf.image.rgb_to_hsv(x)"}, image(3),
      lambda arrays, truth, options, u: np.full(np.shape(truth), 2.0**-16), ("float32",))  # fmt: skip


def patches(x: Any, h: int, w: int) -> Any:
    """Tiles of two by two, row by row: (N, H / 2, W / 2, 4 C)."""
    n, height, width, channels = x.shape
    tiles = x[:, : height // 2 * 2, : width // 2 * 2].reshape(n, height // 2, 2, width // 2, 2, channels)
    return tiles.transpose(0, 1, 3, 2, 4, 5).reshape(n, height // 2, width // 2, -1)


def even(rng: np.random.Generator, dtype: str) -> Drawn:
    pick = picker(rng)
    extents = (pick((1, 2)), 2 * pick((1, 2, 3)), 2 * pick((1, 2, 4)), pick((1, 2, 3)))
    return {"x": numbers(rng, extents, dtype, "normal")}, {"h": 1, "w": 1}


table("extract_patches", patches, {"keras": "ops.image.extract_patches(x, (2, 2), data_format='channels_last')",
      "tensorflow": "tf.image.extract_patches(x, [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1], 'VALID')"}, even,
      lambda arrays, truth, options, u: 4 * u * np.abs(truth))  # fmt: skip
table("space_to_depth", patches, {"keras": "ops.space_to_depth(x, 2, data_format='channels_last')",
      "tensorflow": "tf.nn.space_to_depth(x, 2)"}, even)  # fmt: skip


def adaptive(function: Any) -> Any:
    """PyTorch's rule: window i is from floor(i n / m) to ceil((i + 1) n / m)."""

    def pooled(x: Any, h: int, w: int) -> Any:
        for axis, m in ((1, h), (2, w)):
            n = x.shape[axis]
            parts = [
                function(np.take(x, range(i * n // m, -(-(i + 1) * n // m)), axis), axis, keepdims=True)
                for i in range(m)
            ]
            x = np.concatenate(parts, axis)
        return x

    return pooled


table("adaptive_average_pool", adaptive(np.mean),
      {"keras": "ops.adaptive_average_pool(x, (h, w), 'channels_last')",
       "torch": "F.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), (h, w)).permute(0, 2, 3, 1)"}, image(),
      lambda arrays, truth, options, u: gamma(90, u) + np.zeros(np.shape(truth)))  # fmt: skip
table("adaptive_max_pool", adaptive(np.max),
      {"keras": "ops.adaptive_max_pool(x, (h, w), 'channels_last')",
       "torch": "F.adaptive_max_pool2d(x.permute(0, 3, 1, 2), (h, w)).permute(0, 2, 3, 1)"}, image())  # fmt: skip
