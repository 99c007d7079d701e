"""Weights and data on which a difference in meaning shows: what real data and random weights leave untouched.

Every draw is made from a spec alone. Values are float32 numbers, so that float32 and float64 runs see the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from impls import MODELS, weights
from suites.runner.stages import data
from suites.runner.workers import Arrays

STEPS = 3  # of each draw: enough for what needs a second step (a rate that changes, gradients that add up)
LONG = 25  # steps of one draw of each model
BATCH, COUNT = 5, 11  # batches of 5, 5 and 1; the same everywhere, so that a backend compiles for few shapes
Sizes = dict[str, Any]


@dataclass(frozen=True)
class Draw:
    """Where one comparison starts: sizes, canonical weights, and data that are taken in batches, in order."""

    model: str
    name: str
    size: str | Sizes
    weights: Arrays
    x: np.ndarray
    y: np.ndarray
    batch: int

    @property
    def batches(self) -> list[Arrays]:
        """Consecutive slices; the last one may be shorter."""
        starts = range(0, len(self.x), self.batch)
        return [{"x": self.x[at : at + self.batch], "y": self.y[at : at + self.batch]} for at in starts]


# Extents that all differ, a non-square image, and extents that are all the same: a transposed axis shows in the first
# as a wrong shape, in the second, where shapes can't tell, as wrong values.
DISTINCT: dict[str, Sizes] = {
    "seed": {"features": 3, "hidden": 6},
    "mlp": {"features": 9, "hidden": (7, 5), "classes": 4},
    "cnn": {"image": (8, 12, 3), "filters": (4, 5), "classes": 7},
    "rnn": {"vocabulary": 11, "embed": 5, "units": 7},
}
SQUARE: dict[str, Sizes] = {
    "seed": {"features": 6, "hidden": 6},
    "mlp": {"features": 6, "hidden": (6, 6), "classes": 6},
    "cnn": {"image": (8, 8, 4), "filters": (4, 4), "classes": 16},
    "rnn": {"vocabulary": 5, "embed": 5, "units": 5},
}
SAME = {"seed": 6, "mlp": 6, "cnn": 4, "rnn": 5}  # a batch as long as everything else; rnn: batch == time


def single(array: np.ndarray) -> np.ndarray:
    """The nearest float32 values, as float64."""
    return np.asarray(array, np.float32).astype(np.float64)


def features(model: str, sizes: Sizes, rng: np.random.Generator, count: int, steps: int) -> np.ndarray:
    """Random inputs of `count` examples."""
    if model == "rnn":
        return rng.integers(0, sizes["vocabulary"], (count, steps))
    shape = sizes["image"] if model == "cnn" else (sizes["features"],)
    return single(rng.normal(size=(count, *shape)))


def labels(model: str, sizes: Sizes, rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Random labels of `x`."""
    if model == "seed":
        return single(rng.integers(0, 2, (len(x), 1)))
    if model == "rnn":
        return rng.integers(0, sizes["vocabulary"], x.shape)
    return rng.integers(0, sizes["classes"], len(x))


def random_draw(model: str, name: str, sizes: Sizes, batch: int, count: int, steps: int = 4, seed: int = 0) -> Draw:
    """Normal inputs (random characters), canonical weights, `count` examples in batches of `batch`."""
    rng = np.random.default_rng(seed)
    x = features(model, sizes, rng, count, steps)
    drawn = weights.canonical(MODELS[model].layers(**sizes), seed)
    return Draw(model, name, sizes, drawn, x, labels(model, sizes, rng, x), batch)


def ragged(model: str) -> Draw:
    """Distinct extents; batches of 5, 5 and 1."""
    return random_draw(model, "ragged", DISTINCT[model], BATCH, COUNT)


def square(model: str) -> Draw:
    """Equal extents: batch == time == units, square kernels."""
    same = SAME[model]
    return random_draw(model, "square", SQUARE[model], same, STEPS * same, steps=same, seed=1)


def long(model: str) -> Draw:
    """LONG steps: a decay, a correction, an average that goes wrong slowly."""
    return random_draw(model, "long", DISTINCT[model], BATCH, LONG * BATCH, seed=2)


def real(model: str) -> Draw:
    """The first batches of the real data at the small size."""
    spec = MODELS[model]
    split, batch = data(spec.datasets["small"]), spec.batch_size["small"] // 2
    drawn = weights.canonical(spec.at("small"))
    x, y = (part[: 2 * batch + 1] for part in (split.x, split.y))
    return Draw(model, "real", "small", drawn, x, y, batch)


def saturated(model: str) -> Draw:
    """Activations up to 25, logits of many thousands, right and wrong: an exponential of them overflows."""
    draw = random_draw(model, "saturated", DISTINCT[model], BATCH, COUNT, seed=3)
    for name, scale in (("logits/kernel", 3000), ("bn1/gamma", 20), ("lstm/kernel", 20)):
        if name in draw.weights:
            draw.weights[name] = single(draw.weights[name] * scale)
    return draw if model == "rnn" else replace(draw, x=single(draw.x * 10))


def tiny_gradients(model: str) -> Draw:
    """A last kernel of 1e-5: what reaches the layers below is that much smaller, and an epsilon shows."""
    draw = random_draw(model, "tiny gradients", DISTINCT[model], BATCH, COUNT, seed=4)
    draw.weights["logits/kernel"] = single(draw.weights["logits/kernel"] * 1e-5)
    return draw


def kinks(model: str) -> Draw:
    """Units whose input is exactly zero (the kink of ReLU), exact zeros in the data, and equal logits."""
    draw = random_draw(model, "kinks", DISTINCT[model], BATCH, COUNT, seed=5)
    draw.x[::2, ::2] = 0
    for name in (layer.name for layer in MODELS[model].layers(**DISTINCT[model]) if layer.kind == "dense"):
        equal_units(draw, name, slice(1, 3) if name == "logits" else slice(0, 2))
    return draw


def equal_units(draw: Draw, layer: str, units: slice) -> None:
    """Units of a dense layer that are exactly zero, whatever comes in."""
    draw.weights[f"{layer}/kernel"][:, units] = 0
    draw.weights[f"{layer}/bias"][units] = 0


def channels(model: str) -> Draw:
    """Channels of BatchNorm with a large mean, a tiny variance, no variance, and at ReLU's kink."""
    draw = random_draw(model, "channels", DISTINCT[model], BATCH, COUNT, seed=6)
    kernel, rng = draw.weights["conv1/kernel"], np.random.default_rng(6)
    kernel[:] = 0
    kernel[1, 1, :3, :3] = np.eye(3)  # channels 0 to 2 are those of the image, channel 3 is zero
    draw.x[..., 0] = single(50 + 0.1 * rng.normal(size=draw.x.shape[:3]))
    draw.x[..., 1] = single(1e-3 * rng.normal(size=draw.x.shape[:3]))
    draw.weights["bn1/beta"][3] = 0
    return draw


def ties(model: str) -> Draw:
    """Images in few grey levels, seen through the middle of a kernel: windows with equal maxima; equal logits."""
    draw = random_draw(model, "ties", DISTINCT[model], BATCH, COUNT, seed=7)
    kernel, rng = draw.weights["conv1/kernel"], np.random.default_rng(7)
    kernel[:] = 0
    kernel[1, 1] = single(rng.uniform(0.5, 1.0, kernel.shape[2:]))
    draw.x[:] = rng.integers(-1, 2, (*draw.x.shape[:3], 1))
    equal_units(draw, "logits", slice(1, 3))
    return draw


def repeated(model: str) -> Draw:
    """The same character over and over, every other label the same, and equal logits."""
    draw = random_draw(model, "repeated", DISTINCT[model], BATCH, COUNT, steps=24, seed=8)
    draw.x[:, 2:] = 3
    draw.y[:, ::2] = 3
    equal_units(draw, "logits", slice(1, 3))
    return draw


# Those of one size follow one another: a backend compiles once for them.
DRAWS: dict[str, tuple[Callable[[str], Draw], ...]] = {
    "seed": (ragged, kinks, saturated, tiny_gradients, long, square, real),
    "mlp": (ragged, kinks, saturated, tiny_gradients, long, square, real),
    "cnn": (ragged, ties, channels, saturated, tiny_gradients, long, square, real),
    "rnn": (ragged, saturated, tiny_gradients, long, repeated, square, real),
}


@cache
def draws(model: str) -> tuple[Draw, ...]:
    """Every draw of a model, the telling ones first."""
    return tuple(make(model) for make in DRAWS[model])
