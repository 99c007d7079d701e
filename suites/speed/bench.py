"""The speed of the selected cells: for each model all implementations side by side, on what a user waits for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from impls import IMPLEMENTATIONS, MODELS
from suites.records.run import Cell, Control, Flops, Latency, Timing
from suites.runner import plan
from suites.runner.laboratory import Laboratory
from suites.runner.remote_model import RemoteModel
from suites.runner.stages import data, first_batch, opened
from suites.runner.workers import Role, Worker
from suites.speed import cold_start as cold
from suites.speed import flops, latency, sweep
from suites.speed.rounds import CALL_SECONDS, Arm, Settings, What, guarded, measure
from suites.speed.warmup import warm_after

WHATS: tuple[What, ...] = get_args(What)  # the tasks of TASKS that every run has
FIT_BATCHES = 10  # an epoch of the character model would take minutes a round; its cost a batch is the same
FIRST_CALLS = 20
MOST_CHUNKS = 3  # so many times FIRST_CALLS, as long as no end of the warm-up is in sight
FIRST_SECONDS = {True: 0.03, False: 1.0}  # by whether the run is a quick one
ONE = "one"  # the label of a batch of one example


class Task(NamedTuple):
    """A call that a user waits for; `at` says which batch the worker keeps for it. Settings by whether it is quick."""

    what: What
    at: str
    quick: Settings
    full: Settings


TASKS = {
    "train_step": Task("train_step", "", Settings(12, 0.01), Settings(60, 0.03)),
    "predict": Task("predict", "", Settings(12, 0.01), Settings(60, 0.03)),
    "predict_one": Task("predict", ONE, Settings(12, 0.01), Settings(60, 0.02)),
    "fit": Task("fit", "", Settings(5, 0.03), Settings(20, 0.1)),
}
Arms = dict[Cell, Arm]


def epoch(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """The examples of an epoch that is timed."""
    split, count = data(plan.dataset(cell)), FIT_BATCHES * plan.batch_size(cell)
    return split.x[:count], split.y[:count]


class SpeedLaboratory:
    """Measures a model's cells together at the first question about one of them."""

    def __init__(self, laboratory: Laboratory, planned: Sequence[Cell]) -> None:
        self.laboratory, self.planned = laboratory, list(dict.fromkeys(planned))
        self.quick = laboratory.quick
        self.opened: tuple[str, int] | None = None
        self.ready: Arms = {}
        self.measured: dict[tuple[object, ...], Arms] = {}
        self.numpy: dict[tuple[str, int], tuple[Worker, dict[str, float]]] = {}

    def is_left_out(self, cell: Cell, task: str) -> bool:
        """Whether a quick run leaves it to a full one: NumPy takes ten times as long as the engines for large calls."""
        return self.quick and cell.backend == "numpy" and task in MODELS[cell.model].slow

    def arm(self, cell: Cell, task: str, threads: int | None = None) -> Arm:
        """The rounds of `cell` in a task of TASKS; its `failure` says why there are none."""
        count = threads or self.laboratory.threads
        return self._once((task, count), cell, lambda arms: self._time(arms, task, count), count)

    def latencies(self, cell: Cell) -> Arm:
        """Record single predictions at both batch sizes."""
        return self._once(("latency",), cell, self._latencies)

    def law(self, cell: Cell) -> Arm:
        """Record the sweep over sizes and batch sizes."""
        return self._once(("law",), cell, self._law)

    def flops(self, cell: Cell) -> Arm:
        """Record floating-point operations, specified and counted."""
        return self._once(("flops",), cell, self._flops)

    def cold(self, cell: Cell) -> Arm:
        """Record a start in a fresh process, one process at a time."""
        arm = Arm(self._worker(cell))
        role = arm.worker.role
        guarded(arm, lambda: self.laboratory.record(cold_starts=[cold.cold_start(role, cell)]))
        return self._told({cell: arm}, "cold start")[cell]

    def close(self) -> None:
        """Stop the workers of the control."""
        for worker, _ in self.numpy.values():
            worker.stop()

    def _once(
        self, key: tuple[object, ...], cell: Cell, action: Callable[[Arms], Arms], threads: int | None = None
    ) -> Arm:
        key = (cell.model, *key)
        if key not in self.measured:
            arms = self._arms(cell.model, threads or self.laboratory.threads)
            self.measured[key] = self._told(action(arms), " ".join(map(str, key[1:])))
        return self.measured[key][cell]

    def _told(self, arms: Arms, what: str) -> Arms:
        for cell, arm in arms.items():
            if arm.failure:
                self.laboratory.failed(cell, "speed", f"{what}: {arm.failure}")
            else:
                self.laboratory.passed(cell, "speed")
        return arms

    def _worker(self, cell: Cell, threads: int | None = None) -> Worker:
        return self.laboratory.worker(cell, threads)

    def _arms(self, model: str, threads: int) -> Arms:
        """The model's cells, each open in a worker with its data; those of another number of threads are stopped."""
        if self.opened != (model, threads):
            self.laboratory.quiet()
            self._retire(threads)
            cells = [cell for cell in self.planned if cell.model == model and not self.laboratory.unavailable(cell)]
            self.ready = self._each({cell: Arm(self._worker(cell, threads)) for cell in cells}, self._prepare)
            self.opened = (model, threads)
        return {cell: replace(arm, seconds=[], processor_seconds=[]) for cell, arm in self.ready.items()}

    def _retire(self, threads: int) -> None:
        for worker in list(self.laboratory.pool.workers.values()):
            if worker.threads != threads:
                self.laboratory.describe(worker)
                self.laboratory.pool.stop(worker)

    def _each(self, arms: Arms, action: Callable[[Arm, Cell], None]) -> Arms:
        """Do what is not timed, on all cores."""

        def act(cell: Cell) -> None:
            arm = arms[cell]
            guarded(arm, lambda: action(arm, cell))

        with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as executor:
            list(executor.map(act, arms))
        return arms

    def _prepare(self, arm: Arm, cell: Cell) -> None:
        """Build the model and leave its data with the worker."""
        model, (x, y) = opened(arm.worker, cell), epoch(cell)
        model.prepare(x, y, plan.batch_size(cell))
        if not self.quick:
            model.prepare(x, y, 1, ONE)

    def _time(self, arms: Arms, name: str, threads: int) -> Arms:
        task, group = TASKS[name], ""
        arms = {cell: arm for cell, arm in arms.items() if able(cell, task.what) and not self.is_left_out(cell, name)}
        settings = task.quick if self.quick else task.full
        firsts = self._firsts(arms, task)
        controls = self._controls(next(iter(arms)).dtype, threads)
        measure([arm for arm in [*arms.values(), *controls] if not arm.failure], task.what, settings)
        for cell, arm in arms.items():
            group = f"{cell.model}-{name}-{threads}-{cell.size}-{cell.device}"
            if not arm.failure:
                batch = 1 if task.at == ONE else plan.batch_size(cell)
                self.laboratory.record(timings=[timing(cell, group, task.what, arm, firsts[cell], batch)])
        self.laboratory.record(controls=[self._control(group, arm) for arm in controls if not arm.failure])
        return arms

    def _firsts(self, arms: Arms, task: Task) -> dict[Cell, list[float]]:
        """The first calls of all: one arm after the other on a CPU, which they would take from each other.

        For a GPU it takes long to compile, so that all do it at the same time: a first call there is an upper bound.
        """
        together = max(1, os.cpu_count() or 1) if next(iter(arms)).device == "gpu" else 1
        with ThreadPoolExecutor(together) as executor:
            found = executor.map(lambda arm: self._first_calls(arm, task), arms.values())
            return dict(zip(arms, found, strict=True))

    def _first_calls(self, arm: Arm, task: Task) -> list[float]:
        """The first calls, each by itself, until it is seen that they are steady."""
        arm.at = task.at
        found: list[float] = []
        for _ in range(1 if self.quick else MOST_CHUNKS):
            if not arm.failure and (not found or warm_after(found) is None):
                guarded(arm, lambda: found.extend(self._calls(arm, task.what)))
        return found

    def _calls(self, arm: Arm, what: What) -> list[float]:
        model, limit = RemoteModel(arm.worker, CALL_SECONDS), FIRST_SECONDS[self.quick]
        result = model.time(what, FIRST_CALLS, at=arm.at, each=True, limit=limit)
        return [float(seconds) for seconds in result["calls"]]

    def _controls(self, dtype: str, threads: int) -> list[Arm]:
        """Plain NumPy in a worker of its own, and the machine's peak."""
        if (dtype, threads) not in self.numpy:
            worker = Worker(Role("shim", "numpy", "eager", "cpu", dtype, threads))
            self.numpy[dtype, threads] = worker, RemoteModel(worker).control()
        worker, known = self.numpy[dtype, threads]
        return [Arm(worker, call=name) for name in known]

    def _control(self, group: str, arm: Arm) -> Control:
        dtype, threads = arm.worker.dtype, arm.worker.threads
        _, known = self.numpy[dtype, threads]
        what: Literal["control", "matmul"] = "matmul" if arm.call == "matmul" else "control"
        return Control(group, what, dtype, threads, arm.iterations, arm.seconds, known[what])

    def _latencies(self, arms: Arms) -> Arms:
        for at in ("", ONE):
            batched = {cell: replace(arm, at=at) for cell, arm in arms.items()}
            found = latency.measure(list(batched.values()))
            for (cell, arm), seconds in zip(batched.items(), found, strict=True):
                batch = 1 if at == ONE else plan.batch_size(cell)
                arms[cell].failure = arm.failure
                if seconds:
                    self.laboratory.record(latencies=[Latency(cell, batch, arm.worker.threads, seconds)])
        return arms

    def _law(self, arms: Arms) -> Arms:
        self.opened = None
        points: dict[Cell, list[Arm]] = {}
        self._each(arms, lambda arm, cell: points.update({cell: sweep.arms(arm.worker, cell)}))
        measure([point for found in points.values() for point in found], sweep.WHAT, sweep.SETTINGS)
        for cell, found in points.items():
            arms[cell].failure = next((point.failure for point in found if point.failure), "")
            if not arms[cell].failure:
                self.laboratory.record(sweeps=[sweep.record(cell, found)])
        return arms

    def _flops(self, arms: Arms) -> Arms:
        self.opened = None
        return self._each(arms, self._count_flops)

    def _count_flops(self, arm: Arm, cell: Cell) -> None:
        (x, y), sizes = first_batch(cell), MODELS[cell.model].sizes[cell.size]
        for what in cold.CALLS:
            counted = opened(arm.worker, cell).flops(what, x, y)
            known = flops.specified(cell.model, sizes, x.shape[1:], len(x), what)
            self.laboratory.record(flops=[Flops(cell, what, len(x), known, counted["flops"], counted["counter"])])


def able(cell: Cell, what: What) -> bool:
    """Whether the cell's engine can do `what`: some only predict."""
    return what == "predict" or not IMPLEMENTATIONS[cell.implementation].inference


def timing(cell: Cell, group: str, what: What, arm: Arm, first: list[float], batch: int) -> Timing:
    """The record of one arm and of its first calls."""
    return Timing(
        cell=cell,
        group=group,
        what=what,
        iterations=arm.iterations,
        seconds=arm.seconds,
        first_call_seconds=first[0],
        batch_size=batch,
        threads=arm.worker.threads,
        first_calls=first,
        warm_after=warm_after(first),
        idle_seconds=arm.idle_seconds,
        idle_cpu_seconds=arm.idle_cpu_seconds,
    )
