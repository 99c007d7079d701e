"""One small model with a batch for it, and numbers on which a slip shows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]


class Case(NamedTuple):
    """One model with a batch for it."""

    name: str
    model: dict[str, Any]
    arrays: Arrays


def layer(kind: str, name: str = "", **options: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name or kind.lower(), **options}


def numbers(rng: np.random.Generator, shape: Any) -> np.ndarray:
    """Float64 with all their digits, a fifth of them zero and some equal."""
    x = rng.normal(size=shape)
    x[rng.random(shape) < 0.2] = 0
    ties = rng.random(shape) < 0.2
    x[ties] = np.round(x[ties])
    return np.asarray(x)


def case(name: str, layers: list[dict[str, Any]], shape: tuple[int, ...], outputs: tuple[int, ...], count: int) -> Case:
    """A case of numbers; `outputs`: the shape of one output."""
    rng = np.random.default_rng(len(name))
    arrays = {"x": numbers(rng, (count, *shape)), "y": rng.normal(size=(count, *outputs))}
    return Case(name, {"layers": layers, "inputs": [list(shape)]}, arrays)


def of_ids(name: str, layers: list[dict[str, Any]], x: Any, outputs: tuple[int, ...]) -> Case:
    """A case of integers."""
    x = np.asarray(x)
    arrays = {"x": x, "y": np.random.default_rng(len(name)).normal(size=(len(x), *outputs))}
    return Case(name, {"layers": layers, "inputs": [list(x.shape[1:])]}, arrays)


def first(units: int, **options: Any) -> dict[str, Any]:
    """Weights in front, that show the gradient of the input of what follows."""
    return layer("Dense", "first", units=units, use_bias=False, **options)
