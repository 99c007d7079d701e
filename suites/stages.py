"""What a worker is asked to do for one cell, stage by stage; each returns arrays and, of a training, its time."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from impls import MODELS, weights
from impls.datasets import DATASETS, Split
from suites import plan
from suites.records import Cell
from suites.workers import Arrays, Worker

STEPS = 20  # long enough for a wrong slot, decay or bias correction to show, short enough for every commit
CALL_SECONDS = 300.0
FIT_SECONDS = 900.0


@lru_cache(maxsize=None)
def data(name: str) -> Split:
    """A data set, loaded once."""
    return DATASETS[name]()


@lru_cache(maxsize=None)
def canonical(model: str, size: str) -> Arrays:
    """The canonical weights of a model, drawn once."""
    return weights.canonical(MODELS[model].at(size))


def opened(worker: Worker, cell: Cell) -> None:
    """Build the cell's model from the canonical weights."""
    worker.call("open", canonical(cell.model, cell.size), timeout=CALL_SECONDS, model=cell.model, size=cell.size)


def gradients(worker: Worker, cell: Cell) -> Arrays:
    """Activations, loss, cotangents and gradients of the first batch."""
    opened(worker, cell)
    split, batch = data(plan.dataset(cell)), plan.batch_size(cell)
    _, found = worker.call("gradients", {"x": split.x[:batch], "y": split.y[:batch]}, timeout=CALL_SECONDS)
    _, inference = worker.call("forward", {"x": split.x[:batch]}, timeout=CALL_SECONDS, training=False)
    return {**found, **{f"inference/{name.partition('/')[2]}": value for name, value in inference.items()}}


def trajectory(worker: Worker, cell: Cell) -> Arrays:
    """Losses, weights, running statistics and slots of STEPS steps over the data, from the canonical weights."""
    opened(worker, cell)
    split, batch = data(plan.dataset(cell)), plan.batch_size(cell)
    index = np.resize(np.arange(len(split.x) // batch * batch), STEPS * batch)
    result, found = worker.call(
        "train", {"x": split.x[index], "y": split.y[index]}, timeout=CALL_SECONDS, batch_size=batch
    )
    return {**found, "losses": np.asarray(result["losses"])}


def training(worker: Worker, cell: Cell) -> Arrays:
    """The program's own training to the end, and its logits on the held-out part."""
    opened(worker, cell)
    split, spec = data(plan.dataset(cell)), MODELS[cell.model]
    arguments = {"epochs": spec.epochs, "batch_size": plan.batch_size(cell)}
    result, _ = worker.call("fit", {"x": split.x, "y": split.y}, timeout=FIT_SECONDS, **arguments)
    _, found = worker.call("predict", {"x": split.x_test}, timeout=CALL_SECONDS)
    return {**found, "losses": np.asarray(result["losses"]), "seconds": np.asarray(result["seconds"])}


STAGES: dict[str, Callable[[Worker, Cell], Arrays]] = {
    "gradients": gradients,
    "trajectory": trajectory,
    "training": training,
}


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
