"""The part of a GPU's check that times: every way to run a model side by side, in interleaved rounds.

A model has a worker of its own in every way, which holds it at both sizes. All are opened and compile at the same time;
then the machine is quiet and the rounds begin, one call of one worker after the other.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from impls import MODELS
from suites.records import terminal
from suites.records.gpu import Measured
from suites.records.run import Cell
from suites.runner import plan
from suites.runner.remote_model import RemoteModel
from suites.runner.stages import canonical, data
from suites.runner.workers import Arrays, Worker, WorkerFailed
from suites.speed import flops
from suites.speed.gpu_equivalence import LATE, start
from suites.speed.rounds import Arm, Settings, What, measure

BATCHES = 10  # of the epoch that is timed
WARM_UP_CALLS = 3  # the first is traced or runs as written, the second is captured, the third replays
PROFILED = "train_step"


class Task(NamedTuple):
    """A call that a user waits for; `label` says which of the prepared data it uses."""

    name: str
    what: What
    label: str
    settings: Settings


TASKS = (
    Task("train_step", "train_step", "batch", Settings(20, 0.008)),
    Task("predict_one", "predict", "one", Settings(16, 0.004)),
    Task("fit", "fit", "batch", Settings(12, 0.0)),
)


@dataclass
class Way:
    """One way to run one model: its cells by size, the arithmetic, and the worker that holds them."""

    cells: dict[str, Cell]
    math: str = "float32"
    worker: Worker | None = None
    reasons: dict[str, str] = field(default_factory=dict)  # why a size cannot be timed
    opened: bool = False

    def open(self) -> None:
        """Build the model at every size and call everything until it is compiled."""
        began = time.monotonic()
        self._open()
        self.opened = True
        cell = next(iter(self.cells.values()))
        said = f"{cell.model} {cell.implementation} {cell.backend} {cell.mode} {self.math}"
        terminal.LOG.info(f"         open after {time.monotonic() - began:.0f} s: {said}")

    def _open(self) -> None:
        try:
            self.worker = start(next(iter(self.cells.values())), self.math)
            self.worker.ready()
        except WorkerFailed as failure:
            self.reasons = dict.fromkeys(self.cells, str(failure))
            return
        for at, (size, cell) in enumerate(self.cells.items()):
            try:
                self._prepare(RemoteModel(self.worker), size, cell, keep=at > 0)
            except WorkerFailed as failure:
                self.reasons[size] = str(failure)

    def _prepare(self, model: RemoteModel, size: str, cell: Cell, keep: bool) -> None:
        model.open(cell.model, size, canonical(cell.model, size), keep=keep)
        batch, arrays = plan.batch_size(cell), epoch(cell)
        model.prepare(arrays["x"], arrays["y"], batch, at=f"{size}-batch")
        model.prepare(arrays["x"][:1], arrays["y"][:1], 1, at=f"{size}-one")
        for task in TASKS:
            model.time(task.what, WARM_UP_CALLS, at=f"{size}-{task.label}")

    def close(self) -> None:
        if self.worker is not None:
            self.worker.stop()


def epoch(cell: Cell) -> Arrays:
    """BATCHES batches of the cell's data, which are repeated where there are not as many."""
    split = data(plan.dataset(cell))
    index = np.resize(np.arange(len(split.x)), BATCHES * plan.batch_size(cell))
    return {"x": split.x[index], "y": split.y[index]}


def work(cell: Cell, what: str, examples: int) -> float:
    """Floating-point operations of a call, by the specification."""
    sizes, shape = MODELS[cell.model].sizes[cell.size], data(plan.dataset(cell)).x.shape[1:]
    return flops.specified(cell.model, sizes, shape, examples, "predict" if what == "predict" else "train_step")


class Speed:
    """Opens all ways on an executor; `measure` waits for them."""

    def __init__(self, executor: Executor, ways: Iterable[Way]) -> None:
        self.ways = list(ways)
        self.opening: list[Future[None]] = [executor.submit(way.open) for way in self.ways]

    def wait(self, deadline: float) -> None:
        """Until every way is open, has said why not, or it is too late: then it is stopped."""
        wait(self.opening, max(0.0, deadline - time.monotonic()))
        for future, way in zip(self.opening, self.ways, strict=True):
            future.cancel()
            if not way.opened:
                way.reasons = dict.fromkeys(way.cells, "was not open in time")
                way.close()

    def measure(self, deadline: float) -> list[Measured]:
        """Rounds of every model, size and task; none begin after `deadline`, a `time.monotonic()`."""
        found = []
        models = dict.fromkeys((cell.model, size) for way in self.ways for size, cell in way.cells.items())
        for model, size in models:
            ways = [way for way in self.ways if size in way.cells and way.cells[size].model == model]
            for task in TASKS:
                found += self._rounds(ways, size, task, time.monotonic() < deadline)
        return found

    def _rounds(self, ways: list[Way], size: str, task: Task, in_time: bool) -> list[Measured]:
        reasons = [way.reasons.get(size, "" if in_time else LATE) for way in ways]
        open_ways = [way for way, reason in zip(ways, reasons, strict=True) if not reason]
        arms = {id(way): Arm(way.worker, at=f"{size}-{task.label}") for way in open_ways if way.worker}
        measure(list(arms.values()), task.what, task.settings)
        rows = []
        for way, reason in zip(ways, reasons, strict=True):
            arm = arms.get(id(way))
            seconds = [block / arm.iterations for block in arm.seconds] if arm and not arm.failure else []
            examples = {"one": 1, "batch": plan.batch_size(way.cells[size])}[task.label]
            total = work(way.cells[size], task.what, examples * (BATCHES if task.what == "fit" else 1))
            failure = reason or (arm.failure if arm else "")
            rows.append(Measured(way.cells[size], task.name, way.math, seconds, total, reason=failure))
        return rows

    def profile(self, rows: list[Measured], deadline: float) -> list[Measured]:
        """The rows with what a training step asks of the GPU, one worker at a time, those of large models first."""
        by_cell = {(cell, way.math): (way, size) for way in self.ways for size, cell in way.cells.items()}
        order = sorted(range(len(rows)), key=lambda at: rows[at].cell.size != "large")
        found = {at: self._profiled(rows[at], *by_cell[rows[at].cell, rows[at].math], deadline) for at in order}
        return [found[at] for at in range(len(rows))]

    def _profiled(self, row: Measured, way: Way, size: str, deadline: float) -> Measured:
        wanted = row.what == PROFILED and row.seconds and time.monotonic() < deadline
        if not wanted or way.worker is None:
            return row
        try:
            found = RemoteModel(way.worker, 60.0).gpu_profile(PROFILED, f"{size}-batch")
        except WorkerFailed as failure:
            return replace(row, reason=f"not profiled: {failure}")
        return replace(
            row,
            kernel_seconds=found["kernel_seconds"],
            event_seconds=found["event_seconds"],
            kernels=found["kernels"],
            launches=found["launches"],
            copies_from_host=found["from_host"],
            peak_bytes=float(found["peak_bytes"]),
        )

    def close(self) -> None:
        for way in self.ways:
            way.close()


class Power:
    """Watts and megahertz that nvidia-smi tells, sampled in a thread; a context manager around what is measured."""

    QUERY = ("nvidia-smi", "--query-gpu=power.draw,clocks.sm", "--format=csv,noheader,nounits")

    def __init__(self) -> None:
        self.samples: list[tuple[float, float]] = []
        self.ended = threading.Event()

    def __enter__(self) -> Power:
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.ended.set()
        self.thread.join()

    def _sample(self) -> None:
        while not self.ended.is_set():
            try:
                text = subprocess.run(self.QUERY, capture_output=True, text=True, timeout=10, check=True).stdout
                watts, clock = text.splitlines()[0].split(",")
                self.samples.append((float(watts), float(clock)))
            except (OSError, ValueError, IndexError, subprocess.SubprocessError):
                return  # nothing to ask here
            self.ended.wait(2.0)

    def told(self, name: str) -> dict[str, float]:
        """The median and the largest, by names that begin with `name`; nothing where nothing was told."""
        if not self.samples:
            return {}
        watts, clocks = zip(*self.samples, strict=True)
        return {f"{name} watts": median(watts), f"{name} watts at most": max(watts), f"{name} MHz": median(clocks)}
