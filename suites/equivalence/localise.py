"""Names the place where two computations part: the first layer that differs, and in which phase.

A training step is a chain: activations in order, loss, cotangents from the output back, running statistics, slots,
weights. Whatever differs makes everything after it differ too, so the first tensor of the chain that is above its
bound lies in the layer at fault, whatever else is wrong behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from impls.specs import Layer
from suites.records.run import Cell, Comparison
from suites.runner.workers import Arrays

FIT = "fit"  # the moment that runs the program's own loop


class Link(NamedTuple):
    """One tensor of the chain and what is at fault where it is the first to depart."""

    tensor: str
    layer: str
    phase: str


class Value(NamedTuple):
    """One element of a tensor on both sides; `at` None: the tensor is missing or has another shape."""

    tensor: str
    at: tuple[int, ...] | None
    found: float
    expected: float

    @property
    def place(self) -> str:
        """`activation/bn1[0, 3, 3, 1]`."""
        return f"{self.tensor}[{', '.join(map(str, self.at))}]" if self.at else self.tensor


@dataclass(frozen=True)
class Location:
    """Where a computation departs first: one element of one tensor, and every tensor that departs with it.

    `born` is the first value that is not finite, with the layer and phase in which it came up; None where all are.
    """

    layer: str
    phase: str
    moment: str
    row: Comparison
    value: Value
    shapes: tuple[tuple[int, ...] | None, tuple[int, ...] | None] = (None, None)
    departed: tuple[str, ...] = field(default=(), repr=False)
    born: tuple[Link, Value] | None = None

    @property
    def tensor(self) -> str:
        return self.row.tensor

    def __str__(self) -> str:
        text = f"{self.layer}, {self.phase}, {self.moment}: {self._difference()}; {self._others()}"
        elsewhere = self.born and self.born[1].tensor != self.tensor
        return f"{text}; not finite: {self._birth()}" if elsewhere else text

    def report(self, command: str) -> str:
        """All that is known, for a person who did not write the suite; `command` runs this comparison alone."""
        cell, reference = self.row.cell, self.row.reference
        lines = {
            "model": cell.model,
            "cell": cell_name(cell),
            "reference": cell_name(reference),
            "first differs": f"layer {self.layer}, phase {self.phase}, at {self.moment}",
            "tensor": self._difference(),
            "bound": f"{_bound(self.row)}: {self.row.cause}",
            "not finite": self._birth(),
            "besides": self._others(),
            "alone": command,
        }
        return "\n".join(f"  {name:<14}{text}" for name, text in lines.items() if text)

    def _difference(self) -> str:
        if self.value.at is None:
            return f"{self.tensor} has shape {_shape(self.shapes[0])}, expected {_shape(self.shapes[1])}"
        values = f"{self.value.place} is {self.value.found:.17g}, expected {self.value.expected:.17g}"
        if not np.isfinite(self.value.found):
            return f"{values}: not finite"
        size = f"the tensor differs by {self.row.disagreement:.1e} of its norm"
        return f"{values} ({size}, its bound is {_bound(self.row)})"

    def _birth(self) -> str:
        if self.born is None:
            return ""
        link, value = self.born
        return f"first born in {value.place}: {value.found} (layer {link.layer}, phase {link.phase})"

    def _others(self) -> str:
        rest = [tensor for tensor in self.departed if tensor != self.tensor]
        return f"{len(rest)} more differ: {', '.join(rest[:4])}{', ...' * (len(rest) > 4)}" if rest else "nothing else"


def cell_name(cell: Cell) -> str:
    """`raw_tf on tensorflow, eager, cpu, float64`."""
    return f"{cell.implementation} on {cell.backend}, {cell.mode}, {cell.device}, {cell.dtype}"


def _bound(row: Comparison) -> str:
    return "none" if row.bound is None else f"{row.bound:.1e}"


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
    links = {link.tensor: link for link in chain(layers)}
    order = [tensor for tensor in links if tensor in rows] + [tensor for tensor in rows if tensor not in links]
    first = links.get(order[0], Link(order[0], "optimizer", "optimizer"))
    # Steps were right before the program's own loop ran: only what the loop feeds to them, or averages, is left.
    layer, phase = ("training", "data") if moment == FIT else (first.layer, first.phase)
    value, shapes = _compared(first.tensor, found, truth)
    return Location(layer, phase, moment, rows[first.tensor], value, shapes, tuple(order), birth(layers, found, truth))


def birth(layers: Sequence[Layer], found: Arrays, truth: Arrays) -> tuple[Link, Value] | None:
    """The first value of the chain that is not finite where the truth is."""
    return next(filter(None, (_born(link, found, truth) for link in chain(layers))), None)


def _compared(tensor: str, found: Arrays, truth: Arrays) -> tuple[Value, Any]:
    """The worst element of a tensor, and its shape on both sides (None: it is missing)."""
    ours, theirs = found.get(tensor), truth.get(tensor)
    shapes = getattr(ours, "shape", None), getattr(theirs, "shape", None)
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return Value(tensor, None, float("nan"), float("nan")), shapes
    index = worst(ours, theirs)
    return Value(tensor, index, float(ours[index]), float(theirs[index])), shapes


def _born(link: Link, found: Arrays, truth: Arrays) -> tuple[Link, Value] | None:
    """The first element of a tensor that is not finite where the truth is."""
    ours, theirs = found.get(link.tensor), truth.get(link.tensor)
    if ours is None or theirs is None or ours.shape != theirs.shape or ours.dtype.kind != "f":
        return None
    wrong = np.argwhere(~np.isfinite(ours) & np.isfinite(theirs))
    if not len(wrong):
        return None
    index = tuple(map(int, wrong[0]))
    return link, Value(link.tensor, index, float(ours[index]), float(theirs[index]))


def worst(found: np.ndarray, truth: np.ndarray) -> tuple[int, ...]:
    """The index of the largest difference; a value that is not finite beats every other."""
    difference = np.abs(found.astype(np.float64) - truth)  # argmax takes a NaN for the largest
    return tuple(int(i) for i in np.unravel_index(int(difference.argmax()), difference.shape))
