"""A cell in a fresh process: what a user waits for and what the process holds before anything is warm."""

from __future__ import annotations

from typing import Literal

from suites.records.run import Cell, ColdStart, First
from suites.runner.remote_model import RemoteModel
from suites.runner.stages import canonical, first_batch
from suites.runner.workers import Role, Worker

CALLS: tuple[Literal["train_step", "predict"], ...] = ("train_step", "predict")
MORE = 10  # calls after the first two, so that the peak of memory is that of training and not of tracing alone


def cold_start(role: Role, cell: Cell) -> ColdStart:
    """Start a process of `role`, build the cell's model, call it for the first time, ask for its memory, stop it."""
    worker = Worker(role)
    try:
        return _measured(worker, cell)
    finally:
        worker.stop()


def _measured(worker: Worker, cell: Cell) -> ColdStart:
    model = RemoteModel(worker)
    hello, loaded = model.hello(), model.memory()
    open_seconds = model.open(cell.model, cell.size, canonical(cell.model, cell.size))
    x, y = first_batch(cell)
    model.prepare(x, y, len(x))
    first: dict[str, First] = {what: _first(model, what) for what in CALLS}
    memory = model.memory()
    return ColdStart(
        cell=cell,
        threads=worker.threads,
        import_seconds=hello["import_seconds"],
        open_seconds=open_seconds,
        first=first,
        loaded_bytes=loaded["peak_bytes"],
        peak_bytes=memory["peak_bytes"],
        device_bytes=memory["device_bytes"],
    )


def _first(model: RemoteModel, what: str) -> First:
    seconds, phases = model.first(what)
    after = model.time(what, 1)
    model.time(what, MORE)
    return First(seconds, after["seconds"], phases)
