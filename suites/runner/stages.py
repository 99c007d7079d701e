"""What a worker is asked to do for one cell, stage by stage; each returns arrays and, of a training, its time.

A stage in `NEEDS` is also given the oracle's arrays of another stage. A stage in `UNITS` has bounds: its `<stage>
bounds` runs it again on the oracle with random rounding errors (see `impls.worker.stochastic_rounding`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from impls import IMPLEMENTATIONS, MODELS, weights
from impls.datasets import DATASETS, Split
from impls.floating_types import UNIT
from impls.model_differences import DEPARTURES, diffs
from impls.worker.operation_counts import ENGINES
from suites.records.run import Cell
from suites.runner import plan
from suites.runner.remote_model import RemoteModel
from suites.runner.workers import Arrays, Worker

STEPS = 20  # long enough for a wrong slot, decay or bias correction to show, short enough for every commit
EPOCHS, PARTS = 2, 3  # of `fit`: batches, of which the last one is a single example
RESUMED = 5  # updates before the state in which float32 is compared: slots are filled, rates have moved


@cache
def data(name: str) -> Split:
    """A data set, loaded once."""
    return DATASETS[name]()


@cache
def canonical(model: str, size: str) -> Arrays:
    """The canonical weights of a model, drawn once."""
    return weights.canonical(MODELS[model].at(size))


def opened(worker: Worker, cell: Cell) -> RemoteModel:
    """The cell's model, built from the canonical weights."""
    model = RemoteModel(worker)
    model.open(cell.model, cell.size, canonical(cell.model, cell.size))
    return model


def first_batch(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """The first batch of the cell's data."""
    split, batch = data(plan.dataset(cell)), plan.batch_size(cell)
    return split.x[:batch], split.y[:batch]


def compared_examples(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """The first examples of the cell's data, as many as are compared at once."""
    split, batch = data(plan.dataset(cell)), plan.compared_batch(cell)
    return split.x[:batch], split.y[:batch]


def gradients(worker: Worker, cell: Cell) -> Arrays:
    """Activations, loss, cotangents and gradients of the first batch."""
    model = opened(worker, cell)
    x, y = compared_examples(cell)
    return {**model.gradients(x, y), **model.inference(x)}


def inference(worker: Worker, cell: Cell) -> Arrays:
    """What every layer predicts for the first batch: all there is of an engine that can't train."""
    return opened(worker, cell).inference(compared_examples(cell)[0])


def steps(worker: Worker, cell: Cell, first: int, last: int) -> Arrays:
    """Losses, weights, running statistics and slots after the updates from `first` to `last`."""
    split, batch = data(plan.dataset(cell)), plan.compared_batch(cell)
    index = np.resize(np.arange(len(split.x) // batch * batch), last * batch)[first * batch :]
    return RemoteModel(worker).train(split.x[index], split.y[index], batch)


def trajectory(worker: Worker, cell: Cell) -> Arrays:
    """STEPS steps over the data, from the canonical weights."""
    opened(worker, cell)
    return steps(worker, cell, 0, STEPS)


def fit(worker: Worker, cell: Cell) -> Arrays:
    """A prediction, then the program's own loop over a few batches and a ragged one: its losses, the weights after."""
    opened(worker, cell)
    split, batch = data(plan.dataset(cell)), plan.compared_batch(cell) // 2
    x, y = (part[: (PARTS - 1) * batch + 1] for part in (split.x, split.y))
    model = RemoteModel(worker)
    predicted = model.predict(x)
    losses = model.fit(x, y, EPOCHS, batch)["losses"]
    return {**model.weights(), "losses": losses, "inference/prediction": predicted}


def differing(stage: str, implementation: str, backend: str, worker: Worker, cell: Cell) -> Arrays:
    """A stage of the oracle that computes what this implementation is known to compute otherwise; or its `spread`."""
    model = RemoteModel(worker)
    model.plant(diffs(implementation, backend, cell.model))
    try:
        if stage in UNITS:
            return STAGES[stage](worker, cell)
        plain = STAGES[stage.removesuffix(" bounds")]
        return spread(worker, lambda: plain(worker, cell), UNITS["trajectory"], DRAWS["fit"])
    finally:
        model.plant([])


def name_of_differing(stage: str, cell: Cell) -> str:
    """What `differing` is called for a cell; "": the oracle as it is says what the cell has to compute."""
    known = diffs(cell.implementation, cell.backend, cell.model)
    return f"{stage} of {cell.implementation} on {cell.backend}" if known else ""


def state(worker: Worker, cell: Cell) -> Arrays:
    """Weights, running statistics and slots after RESUMED steps, each rounded to a number that float32 has."""
    opened(worker, cell)
    found = steps(worker, cell, 0, RESUMED)
    del found["losses"]
    return {name: array.astype(np.float32).astype(np.float64) for name, array in found.items()}


def float32_step(worker: Worker, cell: Cell, start: Arrays) -> Arrays:
    """Activations, loss, cotangents and gradients in the state `start`, and one step from there.

    An optimizer that departs from the specs on purpose gives another meaning to the slots: its step is left out.
    """
    opened(worker, cell)
    return resumed(worker, cell, start, RESUMED)


def resumed(worker: Worker, cell: Cell, start: Arrays, step: int) -> Arrays:
    """The same of an open model, on the batch that follows `step` updates."""
    model = RemoteModel(worker)
    model.restore(start, step)
    split, batch = data(plan.dataset(cell)), plan.compared_batch(cell)
    index = np.resize(np.arange(len(split.x) // batch * batch), (step + 1) * batch)[step * batch :]
    found = model.gradients(split.x[index], split.y[index])
    if IMPLEMENTATIONS[cell.implementation].departs:
        return found
    return {**found, **steps(worker, cell, step, step + 1)}


def moved(worker: Worker, cell: Cell, start: Arrays, step: int) -> Arrays:
    """What one update does to the state `start` that is said to be `step` updates after the beginning."""
    opened(worker, cell).restore(start, step)
    return steps(worker, cell, step, step + 1)


def training(worker: Worker, cell: Cell) -> Arrays:
    """The program's own training to the end, and its logits on the held-out part."""
    model, split = opened(worker, cell), data(plan.dataset(cell))
    found = model.fit(split.x, split.y, MODELS[cell.model].epochs, plan.batch_size(cell))
    return {"logits": model.predict(split.x_test), **found}


def operations(worker: Worker, cell: Cell) -> Arrays:
    """How often each operation occurs in a step and in a prediction, as `<what>/counts/<operation>` and the like.

    Nothing for an engine that tells no operations, as NumPy, whose are Python functions.
    """
    found: Arrays = {}
    for what in ("train_step", "predict") if cell.backend in ENGINES else ():
        result = opened(worker, cell).operations(what, *first_batch(cell))
        found |= {f"{what}/counts/{name}": np.asarray(number) for name, number in result["counts"].items()}
        found |= {f"{what}/foreign/{name}": np.asarray(result["counts"][name]) for name in result["foreign"]}
        found |= {f"{what}/{name}": np.asarray(result[name]) for name in ("total", "retraces")}
    return found


# The unit roundoff that a stage's tensors are bounded with, and how often it runs with random errors: a trajectory is
# long, and the error of one update is the sum of those before it, so that fewer runs say as much.
UNITS = {
    "gradients": UNIT["float64"],
    "trajectory": UNIT["float64"],
    "fit": UNIT["float64"],
    "float32_step": UNIT["float32"],
    "inference": UNIT["float64"],
    "float32_inference": UNIT["float32"],
}
DRAWS = {**dict.fromkeys(UNITS, 24), "trajectory": 10, "fit": 6}
FAMILIES = ["tanh", "exp"]  # of elementary functions, see `impls.worker.stochastic_rounding`
SMALLEST = 2.0**-40  # smaller errors would drown in the true ones of float64: they are scaled, first order is linear


def bounds(stage: str, worker: Worker, cell: Cell, *needed: Arrays) -> Arrays:
    """The `spread` of a stage of the oracle."""
    return spread(worker, lambda: STAGES[stage](worker, cell, *needed), UNITS[stage], DRAWS[stage])


def spread(worker: Worker, run: Callable[[], Arrays], unit: float, draws: int) -> Arrays:
    """What rounding with unit roundoff `unit` does to the tensors that `run` returns.

    For each the Gram matrix of its errors: of `draws` runs with random rounding, and of one for each family of
    elementary functions in which all of these are as far off as they may be.
    """
    truth, committed, model = run(), max(unit, SMALLEST), RemoteModel(worker)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in truth}
    exact = unit == UNITS["gradients"]  # float64: constants are what they are
    for draw, family in enumerate([""] * draws + FAMILIES):
        with model.rounding(committed, draw, family, exact):
            for name, found in run().items():
                rows[name].append(np.ravel(found - truth[name]) * (unit / committed))
    errors = {name: np.stack(found) for name, found in rows.items()}
    return {name: found @ found.T for name, found in errors.items()}


NEEDS = {"float32_step": ("state",)}
STAGES: dict[str, Callable[..., Arrays]] = {
    "gradients": gradients,
    "trajectory": trajectory,
    "fit": fit,
    "state": state,
    "float32_step": float32_step,
    "inference": inference,
    "float32_inference": inference,
    "training": training,
    "operations": operations,
}
BOUNDS = {stage: f"{stage} bounds" for stage in UNITS}
STAGES.update((name, partial(bounds, stage)) for stage, name in BOUNDS.items())
for (_implementation, _backend, _), _departure in DEPARTURES.items():
    if _departure.planted:
        for _stage in ("trajectory", "fit", "trajectory bounds", "fit bounds"):
            _name = f"{_stage} of {_implementation} on {_backend}"
            STAGES[_name] = partial(differing, _stage, _implementation, _backend)
NEEDS.update((name, NEEDS[stage]) for stage, name in BOUNDS.items() if stage in NEEDS)


def metric(cell: Cell, logits: np.ndarray) -> float:
    """Held-out accuracy, or cross-entropy in nats per prediction, from logits (..., classes) or (N, 1)."""
    expected = data(plan.dataset(cell)).y_test
    if MODELS[cell.model].metric == "cross_entropy":
        return cross_entropy(logits, expected)
    predicted = logits > 0 if logits.shape[-1] == 1 else logits.argmax(-1)
    return float((predicted == expected).mean())


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log softmax(logits)[label], computed in float64 from shifted logits."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    chosen = np.take_along_axis(shifted, labels[..., None], -1)[..., 0]
    return float((np.log(np.exp(shifted).sum(-1)) - chosen).mean())
