"""Further layers by their formulas; see `suites.references.layers`."""

from __future__ import annotations

from typing import Any

import numpy as np

from suites.references.activations import activated

Array = Any  # of NumPy, of real or complex numbers


def both(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def zero_padding2d(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    padding = o["padding"]
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    rows, columns = both(rows), both(columns)
    y = np.zeros((len(x), x.shape[1] + sum(rows), x.shape[2] + sum(columns), x.shape[3]), x.dtype)
    y[:, rows[0] : rows[0] + x.shape[1], columns[0] : columns[0] + x.shape[2]] = x
    return y


def conv1d(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    """Place t sees t * stride + k * dilation, minus what is padded in front."""
    run.mask = None
    window, stride, dilation, steps = o["kernel_size"], o["strides"], o["dilation_rate"], x.shape[1]
    reach = (window - 1) * dilation
    places = (steps - reach - 1) // stride + 1 if o["padding"] == "valid" else -(-steps // stride)
    before = {"valid": 0, "causal": reach, "same": max((places - 1) * stride + reach + 1 - steps, 0) // 2}[o["padding"]]
    y = np.zeros((len(x), places, o["filters"]), np.result_type(x, w["kernel"]))
    for t in range(places):
        for k in range(window):
            at = t * stride + k * dilation - before
            if 0 <= at < steps:
                y[:, t] = y[:, t] + x[:, at] @ w["kernel"][k]
    return activated(o["activation"], y + w["bias"] if o["use_bias"] else y)


def conv2d_transpose(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    """Each place adds its kernel, KH by KW, to the places from (stride * place) on; "same" cuts the edges off."""
    (kh, kw), (sh, sw) = both(o["kernel_size"]), both(o["strides"])
    n, rows, columns, _ = x.shape
    whole = np.zeros((n, rows * sh + kh, columns * sw + kw, o["filters"]), np.result_type(x, w["kernel"]))
    for i in range(rows):
        for j in range(columns):
            for a in range(kh):
                for b in range(kw):
                    add = x[:, i, j] @ w["kernel"][a, b].T
                    whole[:, i * sh + a, j * sw + b] = whole[:, i * sh + a, j * sw + b] + add
    top, left = (max(kh - sh, 0) // 2, max(kw - sw, 0) // 2) if o["padding"] == "same" else (0, 0)
    height, width = rows * sh, columns * sw
    if o["padding"] == "valid":
        height, width = height + max(kh - sh, 0), width + max(kw - sw, 0)
    y = whole[:, top : top + height, left : left + width]
    return activated(o["activation"], y + w["bias"] if o["use_bias"] else y)


def up_sampling2d(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    """Places in the middle of their pixels; of the two nearest ones, in the share of their distance, or the nearest."""
    for axis, factor in zip((1, 2), both(o["size"]), strict=True):
        last, lines = x.shape[axis] - 1, []
        for place in range(x.shape[axis] * factor):
            at = min(max((place + 0.5) / factor - 0.5, 0), last)
            low = int(at)
            share = at - low if o["interpolation"] == "bilinear" else 0.0
            if o["interpolation"] == "nearest":
                low = place // factor
            lines.append((1 - share) * x.take(low, axis) + share * x.take(min(low + 1, last), axis))
        x = np.stack(lines, axis)
    return x


def largest(x: Array) -> Array:
    """Of (N, places, C) the first largest of each channel."""
    return np.take_along_axis(x, x.real.argmax(1)[:, None], 1)[:, 0]


def global_max_pool2d(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    return largest(x.reshape(len(x), -1, x.shape[-1]))


def global_max_pool1d(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    run.mask = None
    return largest(x)


def global_average_pool1d(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    mask, run.mask = run.mask, None
    if mask is None:
        return x.sum(1) / x.shape[1]
    return (x * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]


def group_norm(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    """Wu and He (2018), equations 1 and 7."""
    y, size = np.empty_like(x), x.shape[-1] // o["groups"]
    for group in range(o["groups"]):
        part = x[..., group * size : (group + 1) * size]
        axes = tuple(range(1, x.ndim))
        centred = part - part.mean(axes, keepdims=True)
        y[..., group * size : (group + 1) * size] = centred / np.sqrt(
            (centred**2).mean(axes, keepdims=True) + o["epsilon"]
        )
    return y * w["gamma"] + w["beta"]


def prelu(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    """He et al. (2015), equation 1; slope 0 at 0; one alpha along an axis that is shared."""
    shared = o["shared_axes"] or ()
    assert w["alpha"].shape == tuple(1 if axis in shared else x.shape[axis] for axis in range(1, x.ndim))
    return np.where(x.real > 0, x, 0) + w["alpha"] * np.where(x.real < 0, x, 0)


def spatial_dropout(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    return x * run.noise[o["name"]] / (1 - o["rate"]) if run.training and o["rate"] else x
