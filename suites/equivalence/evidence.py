"""What a worker shows of one draw, moment by moment, so that a comparison can stop at the first that departs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

import numpy as np

from impls import MODELS
from impls.departures import explanation
from impls.specs import Layer
from suites.equivalence.compare import comparisons, exceeding
from suites.equivalence.inputs import STEPS, Draw
from suites.equivalence.localise import FIT, Location, locate
from suites.records import Cell, Comparison
from suites.workers import Arrays, Worker

SECONDS = 300.0
EPOCHS = 2  # of the program's own loop: what a loop does wrong at the end of an epoch shows in the second
FITTED = ("ragged",)


class Moment(NamedTuple):
    """What a worker showed at one moment, after so many training steps."""

    name: str
    steps: int
    arrays: Arrays


class Subject:
    """A worker, and the model that it has open: another draw of the same size is put into it, nothing compiles anew."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.opened: tuple[str, str] | None = None
        self.slots: Arrays = {}

    def plant(self, patches: list[dict[str, str]]) -> None:
        """Load the sources anew with these diffs in them."""
        self.opened = None
        self.worker.call("plant", timeout=SECONDS, patches=patches)

    def put(self, draw: Draw) -> Worker:
        """The worker, with the draw's weights in its model and an optimizer as fresh as at first."""
        key = draw.model, repr(draw.size)
        if key == self.opened:
            start = {f"weight/{name}": value for name, value in draw.weights.items()}
            self.worker.call("restore", {**start, **self.slots}, timeout=SECONDS, step=0)
            return self.worker
        self.opened = None
        self.worker.call("open", draw.weights, timeout=SECONDS, model=draw.model, size=draw.size)
        _, slots = self.worker.call("slots", timeout=SECONDS)
        self.opened, self.slots = key, {f"slot/{name}": value for name, value in slots.items()}
        return self.worker


def moments(subject: Subject, draw: Draw) -> Iterator[Moment]:
    """A backward pass, training steps from there on, inference, the program's own loop, the last two from the start."""
    worker = subject.put(draw)
    batches = draw.batches
    yield Moment("backward pass", 0, worker.call("gradients", batches[0], timeout=SECONDS)[1])
    for step, batch in enumerate(batches[:STEPS], 1):
        yield Moment(f"step {step}", step, _trained(worker, batch, len(batch["x"])))
    if len(batches) > STEPS:
        rest = slice(STEPS * draw.batch, None)
        found = _trained(worker, {"x": draw.x[rest], "y": draw.y[rest]}, draw.batch)
        yield Moment(f"step {len(batches)}", len(batches), found)
    subject.put(draw)
    yield Moment("inference", 0, _inference(worker, draw, batches[0]["x"]))
    if draw.name in FITTED:
        subject.put(draw)
        yield Moment(FIT, EPOCHS * len(batches), _fitted(worker, draw))


def _inference(worker: Worker, draw: Draw, x: np.ndarray) -> Arrays:
    """Every layer's output in inference mode on the first batch, and the program's own prediction of all."""
    _, outputs = worker.call("forward", {"x": x}, timeout=SECONDS, training=False)
    _, predicted = worker.call("predict", {"x": draw.x}, timeout=SECONDS)
    found = {f"inference/{name.partition('/')[2]}": value for name, value in outputs.items()}
    return {**found, "inference/prediction": predicted["logits"]}


def _trained(worker: Worker, data: Arrays, batch: int) -> Arrays:
    result, found = worker.call("train", data, timeout=SECONDS, batch_size=batch)
    return {**found, "losses": np.asarray(result["losses"])}


def _fitted(worker: Worker, draw: Draw) -> Arrays:
    data = {"x": draw.x, "y": draw.y}
    result, _ = worker.call("fit", data, timeout=SECONDS, epochs=EPOCHS, batch_size=draw.batch)
    _, weights = worker.call("weights", timeout=SECONDS)
    found = {f"weight/{name}": value for name, value in weights.items()}
    return {**found, "losses": np.asarray(result["losses"])}


def layers(draw: Draw) -> tuple[Layer, ...]:
    """The spec's layers at the draw's size."""
    spec = MODELS[draw.model]
    return spec.at(draw.size) if isinstance(draw.size, str) else spec.layers(**draw.size)


def judged(row: Comparison, steps: int, moved: float) -> Comparison:
    """The row with the bound of a known departure of the library where there is one; None: not bounded.

    Such a bound is relative to the norm of a weight and takes it to have moved by no more than that: `moved` is by how
    many times its norm it did. It is of first order, the second is added. A tensor of another shape is no departure.
    """
    cell = row.cell
    known = explanation(cell.implementation, cell.backend, cell.model, row.phase, max(steps, 1))
    if known is None or row.disagreement == inf:
        return row
    first = None if known.bound is None else known.bound * max(1.0, moved)
    return replace(row, bound=None if first is None else first + first**2)


def movement(draw: Draw, tensor: str, truth: Arrays) -> float:
    """||moved|| / ||weight|| of a weight since the draw's start, 0 of another tensor."""
    start, end = draw.weights.get(tensor.partition("/")[2]), truth.get(tensor)
    if start is None or end is None or not tensor.startswith("weight/"):
        return 0.0
    return float(np.linalg.norm(end - start) / (np.linalg.norm(end) or 1.0))


def departure(subject: Subject, cell: Cell, reference: Cell, draw: Draw, truth: Sequence[Moment]) -> Location | None:
    """Where `cell`, served by `subject`, first departs from `truth` on this draw."""
    for found, expected in zip(moments(subject, draw), truth, strict=True):
        arrays, truths = found.arrays, expected.arrays
        rows = [
            judged(row, expected.steps, movement(draw, row.tensor, truths))
            for row in comparisons(cell, reference, arrays, truths)
        ]
        location = locate(layers(draw), exceeding(rows), arrays, truths, found.name)
        if location is not None:
            return replace(location, moment=f"{draw.name}, {found.name}")
    return None
