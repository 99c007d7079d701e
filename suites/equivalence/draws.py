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
from impls.layer_kinds import kind_of, output_shape
from impls.specs import Layer
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


def distinct(model: str) -> Sizes:
    """Extents that all differ, a non-square image: a transposed axis shows as a wrong shape."""
    return MODELS[model].drawn["distinct"]


def equal(model: str) -> Sizes:
    """Extents that are all the same: a transposed axis shows as wrong values, where shapes can't tell."""
    return MODELS[model].drawn["square"]


def side(model: str) -> int:
    """A batch as long as everything else in `equal` sizes."""
    first = MODELS[model].layers(**equal(model))[0]
    return next(iter(first.weights.values()))[-1]


def single(array: np.ndarray) -> np.ndarray:
    """The nearest float32 values, as float64."""
    return np.asarray(array, np.float32).astype(np.float64)


def layers_at(model: str, sizes: Sizes) -> tuple[Layer, ...]:
    """The spec's layers at these sizes."""
    return MODELS[model].layers(**sizes)


def takes_integers(model: str) -> bool:
    """Whether its inputs are the ids of rows of a table."""
    return layers_at(model, distinct(model))[0].kind == "embedding"


def features(model: str, sizes: Sizes, rng: np.random.Generator, count: int, steps: int) -> np.ndarray:
    """Random inputs of `count` examples."""
    shape = (count, *MODELS[model].example(**{**sizes, "steps": steps}))
    if takes_integers(model):
        return rng.integers(0, layers_at(model, sizes)[0].weights["embeddings"][0], shape)
    return single(rng.normal(size=shape))


def labels(model: str, sizes: Sizes, rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Random labels of `x`: as many for each example as the real data have."""
    spec = MODELS[model]
    real = data(spec.datasets["small"]).y
    outputs = output_shape(layers_at(model, sizes), x.shape[1:])
    if real.dtype.kind == "i":
        return rng.integers(0, outputs[-1], x.shape[: real.ndim])
    if spec.loss == "sigmoid_cross_entropy":
        return single(rng.integers(0, 2, (len(x), *outputs)))
    return single(rng.normal(size=(len(x), *outputs)))


def random_draw(model: str, name: str, sizes: Sizes, batch: int, count: int, steps: int = 4, seed: int = 0) -> Draw:
    """Normal inputs (random characters), canonical weights, `count` examples in batches of `batch`."""
    rng = np.random.default_rng(seed)
    x = features(model, sizes, rng, count, steps)
    drawn = weights.canonical(layers_at(model, sizes), seed)
    return Draw(model, name, sizes, drawn, x, labels(model, sizes, rng, x), batch)


def ragged(model: str) -> Draw:
    """Distinct extents; batches of 5, 5 and 1."""
    return random_draw(model, "ragged", distinct(model), BATCH, COUNT)


def square(model: str) -> Draw:
    """Equal extents: batch == time == units, square kernels."""
    same = side(model)
    return random_draw(model, "square", equal(model), same, STEPS * same, steps=same, seed=1)


def long(model: str) -> Draw:
    """LONG steps: a decay, a correction, an average that goes wrong slowly."""
    return random_draw(model, "long", distinct(model), BATCH, LONG * BATCH, seed=2)


def real(model: str) -> Draw:
    """The first batches of the real data at the small size."""
    spec = MODELS[model]
    split, batch = data(spec.datasets["small"]), spec.batch_size["small"] // 2
    drawn = weights.canonical(spec.at("small"))
    x, y = (part[: 2 * batch + 1] for part in (split.x, split.y))
    return Draw(model, "real", "small", drawn, x, y, batch)


def last_scale(layers: tuple[Layer, ...]) -> str:
    """The weight that the logits are proportional to: the last kernel, or the scale of a norm before a tied head."""
    names = [f"{layer.name}/{name}" for layer in layers for name in ("kernel", "gamma") if name in layer.weights]
    return names[-1]


def saturated(model: str) -> Draw:
    """Activations up to 25, logits of many thousands, right and wrong: an exponential of them overflows."""
    draw = random_draw(model, "saturated", distinct(model), BATCH, COUNT, seed=3)
    layers = layers_at(model, distinct(model))
    scales = {last_scale(layers): 3000.0}
    first = {layer.kind: layer for layer in reversed(layers)}
    for layer in first.values():
        scales.update((f"{layer.name}/{name}", factor) for name, factor in kind_of(layer).saturated.items())
    for name, scale in scales.items():
        draw.weights[name] = single(draw.weights[name] * scale)
    return draw if takes_integers(model) else replace(draw, x=single(draw.x * 10))


def tiny_gradients(model: str) -> Draw:
    """A last kernel of 1e-5: what reaches the layers below is that much smaller, and an epsilon shows."""
    draw = random_draw(model, "tiny gradients", distinct(model), BATCH, COUNT, seed=4)
    name = last_scale(layers_at(model, distinct(model)))
    draw.weights[name] = single(draw.weights[name] * 1e-5)
    return draw


def kinks(model: str) -> Draw:
    """Units whose input is exactly zero (the kink of ReLU), exact zeros in the data, and equal logits."""
    draw = random_draw(model, "kinks", distinct(model), BATCH, COUNT, seed=5)
    draw.x[::2, ::2] = 0
    layers = [layer.name for layer in layers_at(model, distinct(model)) if layer.kind == "dense"]
    for name in layers:
        equal_units(draw, name, slice(1, 3) if name == layers[-1] else slice(0, 2))
    return draw


def equal_units(draw: Draw, layer: str, units: slice) -> None:
    """Units of a dense layer that are exactly zero, whatever comes in."""
    draw.weights[f"{layer}/kernel"][:, units] = 0
    draw.weights[f"{layer}/bias"][units] = 0


def equal_logits(draw: Draw) -> None:
    """Two classes that always have the same logit: zero columns of the last kernel, or equal rows of a tied table."""
    layers = layers_at(draw.model, distinct(draw.model))
    if layers[-1].kind == "dense":
        equal_units(draw, layers[-1].name, slice(1, 3))
    else:
        table = draw.weights[f"{layers[0].name}/embeddings"]
        table[1] = table[2]


def channels(model: str) -> Draw:
    """Channels of BatchNorm with a large mean, a tiny variance, no variance, and at ReLU's kink."""
    draw = random_draw(model, "channels", distinct(model), BATCH, COUNT, seed=6)
    kernel, rng = draw.weights["conv1/kernel"], np.random.default_rng(6)
    kernel[:] = 0
    kernel[1, 1, :3, :3] = np.eye(3)  # channels 0 to 2 are those of the image, channel 3 is zero
    draw.x[..., 0] = single(50 + 0.1 * rng.normal(size=draw.x.shape[:3]))
    draw.x[..., 1] = single(1e-3 * rng.normal(size=draw.x.shape[:3]))
    draw.weights["bn1/beta"][3] = 0
    return draw


def ties(model: str) -> Draw:
    """Images in few grey levels, seen through the middle of a kernel: windows with equal maxima; equal logits."""
    draw = random_draw(model, "ties", distinct(model), BATCH, COUNT, seed=7)
    kernel, rng = draw.weights["conv1/kernel"], np.random.default_rng(7)
    kernel[:] = 0
    kernel[1, 1] = single(rng.uniform(0.5, 1.0, kernel.shape[2:]))
    draw.x[:] = rng.integers(-1, 2, (*draw.x.shape[:3], 1))
    equal_logits(draw)
    return draw


def repeated(model: str) -> Draw:
    """The same character over and over, every other label the same, and equal logits."""
    draw = random_draw(model, "repeated", distinct(model), BATCH, COUNT, steps=24, seed=8)
    draw.x[:, 2:] = 3
    draw.y[:, ::2] = 3
    equal_logits(draw)
    return draw


def makers(model: str) -> tuple[Callable[[str], Draw], ...]:
    """What is drawn for a model, by what its layers are; those of one size follow one another, to compile once."""
    layers = layers_at(model, distinct(model))
    kinds = {layer.kind for layer in layers}
    special: list[Callable[[str], Draw]] = []
    if {"conv2d", "batchnorm", "maxpool2d"} <= kinds:
        special = [ties, channels]
    elif not takes_integers(model):
        special = [kinks]
    characters = [repeated] if takes_integers(model) else []
    return (ragged, *special, saturated, tiny_gradients, long, *characters, square, real)


@cache
def draws(model: str) -> tuple[Draw, ...]:
    """Every draw of a model, the telling ones first."""
    return tuple(make(model) for make in makers(model))
