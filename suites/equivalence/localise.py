"""Names the place where two computations part: the first layer that differs, and in which phase.

A training step is a chain: activations in order, loss, cotangents from the output back, running statistics, slots,
weights. Whatever departs makes everything after it depart too, so the first tensor of the chain that is above its
bound lies in the layer at fault, whatever else is wrong behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from impls.specs import Layer
from suites.records import Comparison
from suites.workers import Arrays

FIT = "fit"  # the moment that runs the program's own loop


class Link(NamedTuple):
    """One tensor of the chain and what is at fault where it is the first to depart."""

    tensor: str
    layer: str
    phase: str


@dataclass(frozen=True)
class Location:
    """Where a computation departs first: one element of one tensor, and every tensor that departs with it."""

    layer: str
    phase: str
    tensor: str
    moment: str
    index: tuple[int, ...] | None  # of the worst element; None: the tensor is missing or has another shape
    found: float
    expected: float
    disagreement: float
    bound: float
    shapes: tuple[tuple[int, ...] | None, tuple[int, ...] | None] = (None, None)
    departed: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"{self.layer}, {self.phase}, {self.moment}: {self._difference()}; {self._others()}"

    def _difference(self) -> str:
        if self.index is None:
            return f"{self.tensor} has shape {_shape(self.shapes[0])}, expected {_shape(self.shapes[1])}"
        place = f"{self.tensor}[{', '.join(map(str, self.index))}]" if self.index else self.tensor
        if not np.isfinite(self.found):
            return f"{place} is {self.found}, expected {self.expected:.17g}: the first value that is not finite"
        values = f"{place} is {self.found:.17g}, expected {self.expected:.17g}"
        return f"{values} (the tensor departs by {self.disagreement:.1e}, its bound is {self.bound:.1e})"

    def _others(self) -> str:
        rest = [tensor for tensor in self.departed if tensor != self.tensor]
        return f"{len(rest)} more depart: {', '.join(rest[:4])}{', ...' * (len(rest) > 4)}" if rest else "nothing else"


def _shape(shape: tuple[int, ...] | None) -> str:
    return "none: it is missing" if shape is None else str(shape)


def chain(layers: Sequence[Layer]) -> list[Link]:
    """Every tensor of a step in the order in which a mistake travels."""
    return [*_forward(layers), *_backward(layers), *_inference(layers), *_state(layers), *_update(layers)]


def _forward(layers: Sequence[Layer]) -> list[Link]:
    return [Link(f"activation/{layer.name}", layer.name, "forward") for layer in layers]


def _backward(layers: Sequence[Layer]) -> list[Link]:
    """The loss, then each layer from the last to the first: its weights' gradients and what it hands down."""
    links = [Link("loss", "loss", "loss"), Link(f"cotangent/{layers[-1].name}", "loss", "loss")]
    for below, layer in reversed(list(zip([None, *layers[:-1]], layers, strict=True))):
        links += [Link(f"gradient/{layer.name}/{weight}", layer.name, "backward") for weight in layer.weights]
        links += [Link(f"cotangent/{below.name}", layer.name, "backward")] if below else []
    return links


def _inference(layers: Sequence[Layer]) -> list[Link]:
    links = [Link(f"inference/{layer.name}", layer.name, "forward") for layer in layers]
    return [*links, Link("inference/prediction", "prediction", "forward")]


def _state(layers: Sequence[Layer]) -> list[Link]:
    """The loss that a step reports, and the statistics that it moves."""
    moved = [Link(f"weight/{layer.name}/{name}", layer.name, "state") for layer in layers for name in layer.state]
    return [Link("losses", "loss", "loss"), *moved]


def _update(layers: Sequence[Layer]) -> list[Link]:
    names = [f"{layer.name}/{weight}" for layer in layers for weight in layer.weights]
    slots = [Link(f"slot/{slot}/{name}", "optimizer", "optimizer") for slot in "mv" for name in names]
    return slots + [Link(f"weight/{name}", "optimizer", "optimizer") for name in names]


def locate(
    layers: Sequence[Layer], departed: Iterable[Comparison], found: Arrays, truth: Arrays, moment: str
) -> Location | None:
    """The first of the `departed` tensors (those above their bound) in the chain; None where there are none."""
    rows = {row.tensor: row for row in departed}
    if not rows:
        return None
    links = chain(layers)
    order = [link.tensor for link in links if link.tensor in rows]
    order += [tensor for tensor in rows if tensor not in order]
    first = next((link for link in links if link.tensor == order[0]), Link(order[0], "optimizer", "optimizer"))
    # Steps were right before the program's own loop ran: only what the loop feeds to them, or averages, is left.
    layer, phase = ("training", "data") if moment == FIT else (first.layer, first.phase)
    return _at(layer, phase, rows[first.tensor], found, truth, moment, tuple(order))


def _at(
    layer: str, phase: str, row: Comparison, found: Arrays, truth: Arrays, moment: str, departed: tuple[str, ...]
) -> Location:
    ours, theirs = found.get(row.tensor), truth.get(row.tensor)
    bound = float("nan") if row.bound is None else row.bound
    if ours is None or theirs is None or ours.shape != theirs.shape:
        shapes = None if ours is None else ours.shape, None if theirs is None else theirs.shape
        values, index = (float("nan"), float("nan")), None
    else:
        shapes, index = (ours.shape, theirs.shape), worst(ours, theirs)
        values = float(ours[index]), float(theirs[index])
    return Location(layer, phase, row.tensor, moment, index, *values, row.disagreement, bound, shapes, departed)


def worst(found: np.ndarray, truth: np.ndarray) -> tuple[int, ...]:
    """The index of the largest difference; a value that is not finite beats every other."""
    difference = np.abs(found.astype(np.float64) - truth)  # argmax takes a NaN for the largest
    return tuple(int(i) for i in np.unravel_index(int(difference.argmax()), difference.shape))
