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
from suites.equivalence.compare import AGREEMENT, comparisons, exceeding, phase
from suites.equivalence.inputs import STEPS, Draw
from suites.equivalence.localise import FIT, Location, locate
from suites.records import Cell
from suites.workers import Arrays, Worker

SECONDS = 120.0
EPOCHS = 2  # of the program's own loop: what a loop does wrong at the end of an epoch shows in the second
FITTED = ("ragged",)


class Moment(NamedTuple):
    """What a worker showed at one moment, after so many training steps."""

    name: str
    steps: int
    arrays: Arrays


def moments(worker: Worker, draw: Draw) -> Iterator[Moment]:
    """A backward pass, inference, training steps, the program's own loop; each from where the last one ended."""
    _open(worker, draw)
    batches = draw.batches
    yield Moment("backward pass", 0, worker.call("gradients", batches[0], timeout=SECONDS)[1])
    yield Moment("inference", 0, _inference(worker, draw, batches[0]["x"]))
    for step, batch in enumerate(batches[:STEPS], 1):
        yield Moment(f"step {step}", step, _trained(worker, batch, len(batch["x"])))
    if len(batches) > STEPS:
        rest = slice(STEPS * draw.batch, None)
        found = _trained(worker, {"x": draw.x[rest], "y": draw.y[rest]}, draw.batch)
        yield Moment(f"step {len(batches)}", len(batches), found)
    if draw.name in FITTED:
        _open(worker, draw)
        yield Moment(FIT, EPOCHS * len(batches), _fitted(worker, draw))


def _open(worker: Worker, draw: Draw) -> None:
    worker.call("open", draw.weights, timeout=SECONDS, model=draw.model, size=draw.size)


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


def bounds(cell: Cell, moment: Moment) -> dict[str, float]:
    """The bound of each tensor: the project's own, or that of a departure of the library which is known."""
    found = {}
    for name in moment.arrays:
        known = explanation(cell.implementation, cell.backend, cell.model, phase(name), max(moment.steps, 1))
        found[name] = AGREEMENT if known is None else inf if known.bound is None else max(known.bound, AGREEMENT)
    return found


def departure(worker: Worker, cell: Cell, reference: Cell, draw: Draw, truth: Sequence[Moment]) -> Location | None:
    """Where `cell`, served by `worker`, first departs from `truth` on this draw."""
    for found, expected in zip(moments(worker, draw), truth, strict=True):
        rows = comparisons(cell, reference, found.arrays, expected.arrays, bounds(cell, expected))
        location = locate(layers(draw), exceeding(rows), found.arrays, expected.arrays, found.name)
        if location is not None:
            return replace(location, moment=f"{draw.name}, {found.name}")
    return None
