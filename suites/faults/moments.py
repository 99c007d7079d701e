"""What a worker shows of one draw, moment by moment, so that a comparison can stop at the first that departs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from impls import MODELS, weights
from impls.floating_types import UNIT
from impls.model_differences import DEPARTURES
from impls.specs import Layer
from suites.equivalence.draws import STEPS, Draw
from suites.equivalence.judge import first_difference, judge_draw
from suites.equivalence.localise import FIT, Location, birth
from suites.records.run import Cell, Comparison
from suites.runner.remote_model import Patch, RemoteModel
from suites.runner.stages import spread
from suites.runner.workers import Arrays, Worker

EPOCHS = 2  # of the program's own loop: what a loop does wrong at the end of an epoch shows in the second
FITTED = ("ragged",)
RUNS = 6  # with random rounding


class Moment(NamedTuple):
    """What a worker showed at one moment, after so many training steps."""

    name: str
    steps: int
    arrays: Arrays


class Subject:
    """A worker, and the model that it has open: another draw of the same size is put into it, nothing compiles anew."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.model = RemoteModel(worker)
        self.opened: tuple[str, str] | None = None
        self.slots: Arrays = {}

    def plant(self, patches: list[dict[str, str]]) -> None:
        """Load the sources anew with these diffs in them."""
        self.opened = None
        self.model.plant(patches)

    def put(self, draw: Draw) -> RemoteModel:
        """The model, with the draw's weights in it and an optimizer as fresh as at first."""
        key = draw.model, repr(draw.size)
        if key == self.opened:
            start = {f"weight/{name}": value for name, value in draw.weights.items()}
            self.model.restore({**start, **self.slots}, step=0)
            return self.model
        self.opened = None
        self.model.open(draw.model, draw.size, draw.weights)
        self.slots = self.model.slots()
        self.opened = key
        return self.model


def moments(subject: Subject, draw: Draw) -> Iterator[Moment]:
    """A backward pass, training steps from there on, inference, the program's own loop, the last two from the start."""
    model = subject.put(draw)
    batches = draw.batches
    yield Moment("backward pass", 0, model.gradients(**batches[0]))
    for step, batch in enumerate(batches[:STEPS], 1):
        yield Moment(f"step {step}", step, model.train(**batch, batch_size=len(batch["x"])))
    if len(batches) > STEPS:
        rest = slice(STEPS * draw.batch, None)
        found = model.train(draw.x[rest], draw.y[rest], draw.batch)
        yield Moment(f"step {len(batches)}", len(batches), found)
    subject.put(draw)
    yield Moment("inference", 0, _inference(model, draw, batches[0]["x"]))
    if draw.name in FITTED:
        subject.put(draw)
        yield Moment(FIT, EPOCHS * len(batches), _fitted(model, draw))


def passes_and_steps(subject: Subject, draw: Draw) -> Iterator[Moment]:
    """Each step by itself, with the pass in front of it: where a step goes wrong that is not the first."""
    model = subject.put(draw)
    for step, batch in enumerate(draw.batches, 1):
        yield Moment(f"the pass of step {step}", step - 1, model.gradients(**batch))
        yield Moment(f"step {step}", step, model.train(**batch, batch_size=len(batch["x"])))


def _inference(model: RemoteModel, draw: Draw, x: np.ndarray) -> Arrays:
    """Every layer's output in inference mode on the first batch, and the program's own prediction of all."""
    return {**model.inference(x), "inference/prediction": model.predict(draw.x)}


def _fitted(model: RemoteModel, draw: Draw) -> Arrays:
    losses = model.fit(draw.x, draw.y, EPOCHS, draw.batch)["losses"]
    return {**model.weights(), "losses": losses}


Shown = Callable[[Subject, Draw], Iterator[Moment]]


class Known(NamedTuple):
    """A moment of the oracle, and by the precision of the errors the `spread` of its tensors."""

    moment: Moment
    products: dict[str, Arrays]


def known(
    subject: Subject, draw: Draw, dtypes: Iterable[str], shown: Shown = moments, spreading: Sequence[Patch] = ()
) -> list[Known]:
    """What the oracle shows, and what rounding in each of these precisions does to it.

    With the diffs `spreading` it computes the same by formulas that round otherwise: those of a library.
    """
    expected = list(shown(subject, draw))
    if spreading:
        subject.plant(list(spreading))
    try:
        spreads = {}
        for dtype in dtypes:
            spreads[dtype] = spread(subject.worker, lambda: _flat(shown(subject, draw)), UNIT[dtype], RUNS)
    finally:
        if spreading:
            subject.plant([])
    every = []
    for at, moment in enumerate(expected):
        products = {}
        for dtype, found in spreads.items():
            products[dtype] = {name: found[f"{at}/{name}"] for name in moment.arrays}
        every.append(Known(moment, products))
    return every


def _flat(shown: Iterable[Moment]) -> Arrays:
    """All moments in one dictionary."""
    return {f"{at}/{name}": value for at, moment in enumerate(shown) for name, value in moment.arrays.items()}


def layers_of(draw: Draw) -> tuple[Layer, ...]:
    """The spec's layers at the draw's size."""
    spec = MODELS[draw.model]
    return spec.at(draw.size) if isinstance(draw.size, str) else spec.layers(**draw.size)


def with_layers(draw: Draw, layers: tuple[Layer, ...]) -> Draw:
    """The draw for other layers: canonical weights where it has none of that shape."""
    canonical = weights.canonical(layers)
    same = {name for name, value in draw.weights.items() if name in canonical and value.shape == canonical[name].shape}
    return replace(draw, weights=canonical | {name: draw.weights[name] for name in same})


def precisions(cell: Cell) -> tuple[str, ...]:
    """Those in which a float64 cell may round: where a released library departs, float32 as well."""
    entry = DEPARTURES.get((cell.implementation, cell.backend, cell.model))
    return ("float64", "float32") if entry is not None and entry.bounded else ("float64",)


def compared(cell: Cell, reference: Cell, found: Arrays, expected: Known) -> list[Comparison]:
    """Every tensor of a moment with its bound."""
    return judge_draw(cell, reference, found, expected.moment.arrays, expected.products)


def departure(
    subject: Subject, cell: Cell, reference: Cell, draw: Draw, layers: Sequence[Layer], truth: Sequence[Known],
    step_by_step: Callable[[], Sequence[Known]] | None = None,
) -> Location | None:  # fmt: skip
    """Where `cell`, served by `subject`, first departs from `truth` on this draw of a model with these layers.

    What shows first in a later step is looked for again, pass by pass, in what `step_by_step` gives.
    """
    location = first_of(moments, subject, cell, reference, draw, layers, truth)
    if location is None or location.moment.endswith(FIT):
        return location
    if location.born:
        return traced(subject, draw, layers, location)
    if step_by_step and location.phase != "forward" and location.moment.rpartition(" ")[2].isdigit():
        found = first_of(passes_and_steps, subject, cell, reference, draw, layers, step_by_step())
        return found or location
    return location


def first_of(
    shown: Shown, subject: Subject, cell: Cell, reference: Cell, draw: Draw, layers: Sequence[Layer],
    truth: Sequence[Known],
) -> Location | None:  # fmt: skip
    """The first difference in what `shown` gives, one moment after the other."""
    for found, expected in zip(shown(subject, draw), truth, strict=True):
        rows = compared(cell, reference, found.arrays, expected)
        location = first_difference(rows, found.arrays, expected.moment.arrays, found.name, layers)
        if location is not None:
            return replace(location, moment=f"{draw.name}, {found.name}")
    return None


def traced(subject: Subject, draw: Draw, layers: Sequence[Layer], location: Location) -> Location:
    """The location of a value that is not finite in the pass in which it was born: steps show only what is left of it.

    What departs before it, or in a pass that is finite, keeps its place.
    """
    if location.phase != "optimizer":
        return location
    model = subject.put(draw)
    for step, batch in enumerate(draw.batches, 1):
        arrays = model.gradients(**batch)
        born = birth(layers, arrays, {name: np.zeros_like(array) for name, array in arrays.items()})
        if born is not None:
            location = replace(location, moment=f"{draw.name}, step {step}", born=born)
            finite = np.isfinite(location.value.found)
            return location if finite else replace(location, layer=born[0].layer, phase=born[0].phase)
        model.train(**batch, batch_size=len(batch["x"]))
    return location
