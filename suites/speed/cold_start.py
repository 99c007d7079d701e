"""A cell in a fresh process: what a user waits for and what the process holds before anything is warm."""

from __future__ import annotations

from typing import Literal

from suites.records.run import Cell, ColdStart, First
from suites.runner import plan
from suites.runner.stages import CALL_SECONDS, canonical, data
from suites.runner.workers import Arrays, Role, Worker

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
    hello, _ = worker.call("hello")
    loaded, _ = worker.call("memory")
    opened, _ = worker.call("open", canonical(cell.model, cell.size), CALL_SECONDS, model=cell.model, size=cell.size)
    arrays = first_batch(cell)
    worker.call("prepare", arrays, CALL_SECONDS, batch_size=len(arrays["x"]))
    first: dict[str, First] = {what: _first(worker, what) for what in CALLS}
    memory, _ = worker.call("memory")
    return ColdStart(
        cell=cell,
        threads=worker.threads,
        import_seconds=hello["import_seconds"],
        open_seconds=opened["seconds"],
        first=first,
        loaded_bytes=loaded["peak_bytes"],
        peak_bytes=memory["peak_bytes"],
        device_bytes=memory["device_bytes"],
    )


def first_batch(cell: Cell) -> Arrays:
    """The first batch of the cell's data."""
    split, batch = data(plan.dataset(cell)), plan.batch_size(cell)
    return {"x": split.x[:batch], "y": split.y[:batch]}


def _first(worker: Worker, what: str) -> First:
    found, _ = worker.call("first", None, CALL_SECONDS, what=what)
    after, _ = worker.call("time", None, CALL_SECONDS, what=what, iterations=1)
    worker.call("time", None, CALL_SECONDS, what=what, iterations=MORE)
    return First(found["seconds"], after["seconds"], found["phases"])
