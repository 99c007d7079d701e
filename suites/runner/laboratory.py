"""Runs the stages of the planned cells on workers, several at a time, and keeps the record of the run."""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from impls import BACKENDS, IMPLEMENTATIONS, MODELS
from impls.model_differences import refusal
from suites.records import run as records
from suites.records.run import Cell, Outcome, Run, Service
from suites.runner import environments, machine, plan
from suites.runner.availability import availability
from suites.runner.kept_bounds import KeptBounds
from suites.runner.remote_model import RemoteModel
from suites.runner.stages import BOUNDS, NEEDS, STAGES
from suites.runner.workers import Arrays, Pool, Role, Worker, WorkerFailed

SAVE_SECONDS = 5.0
MANY_CORES = 8
MOST_DETAILS = 4000  # characters of a traceback: its end says most
OWN = {stage: stage for stage in ("training", "operations")}
RECORDED: dict[str, Any] = dict.fromkeys((*STAGES, *BOUNDS.values()), "equivalence") | OWN

LEFT_OUT = "a quick run leaves it to a full one: the same command without --quick"
Planned = tuple[Cell, str]  # a cell and the stage that a test will ask for


class StageFailed(Exception):
    """A stage did not end for a cell; the message is the reason that the records and the page show."""


class StageRefused(StageFailed):
    """What a released library is known not to do, see `impls.known_differences`."""


class Laboratory:
    """Workers, the evidence they gave, and the run's record. Use it as a context manager."""

    def __init__(self, selection: plan.Selection, run: Run, folder: Path | None, threads: int, quick: bool) -> None:
        self.selection, self.run, self.folder = selection, run, folder
        self.threads, self.quick = threads, quick
        self.pool = Pool()
        self.kept = KeptBounds()
        self.executor = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="cell")
        self.planned: list[Planned] = []
        self.jobs: list[Future[None]] = []
        self.closing = self.interrupted = False
        self.evidence_of: dict[Planned, Future[Arrays]] = {}
        self.lock = threading.RLock()
        self.serving: defaultdict[Cell, threading.Lock] = defaultdict(threading.Lock)
        self.saved = 0.0
        self.reasons: dict[Cell, str] = {}

    @classmethod
    def of(cls, selection: plan.Selection, options: argparse.Namespace, planned: Iterable[Planned]) -> Laboratory:
        """The laboratory of a pytest session; it saves only what `--bench` measured."""
        words = {name: str(getattr(options, name)) for name in ("model", "implementation", "backend", "mode")}
        words |= {name: str(getattr(options, name)) for name in ("device", "size", "quick", "threads")}
        folder = Path(options.results) if options.bench else None
        laboratory = cls(selection, new_run(words), folder, int(options.threads), options.quick)
        laboratory.planned = list(planned)
        stages = ((cell, RECORDED.get(stage, stage)) for cell, stage in laboratory.planned)
        laboratory.run.planned = [records.Planned(*item) for item in dict.fromkeys(stages)]
        laboratory.begin(laboratory.planned)
        return laboratory

    def leave_out(self, planned: Iterable[Planned]) -> None:
        """Count what a quick run does not do among what was planned, with that as the reason."""
        for cell, stage in planned:
            self.run.planned.append(records.Planned(cell, RECORDED[stage]))
            if not self.unavailable(cell):
                self.record(outcomes=[Outcome(cell, RECORDED[stage], "skipped", LEFT_OUT)])

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(self, *error: object) -> None:
        """Describe and stop every worker and save what was measured, whatever ended the session."""
        self.closing = True
        self.executor.shutdown(wait=False, cancel_futures=True)
        if not self.interrupted:
            self.quiet()
            for worker in list(self.pool.workers.values()):
                self.describe(worker)
            self.run.finished = now()
        self.pool.close()
        self.save()

    def begin(self, planned: Iterable[Planned]) -> None:
        """Queue what the tests will ask for: the oracle first, then one job a worker, so that each starts once.

        Where there are many cores every model has a worker of its own: they compile side by side.
        """
        wanted = [item for item in planned if item[1] in STAGES and not self.unavailable(item[0])]
        wanted = [(plan.oracle(cell), name) for cell, stage in wanted for name in evidence_for(stage)] + wanted
        jobs: dict[Cell, list[Planned]] = {}
        for item in dict.fromkeys(item for item in wanted if item not in self.evidence_of):
            self.evidence_of[item] = Future()
            jobs.setdefault(_lane(item[0]), []).append(item)
        for job in jobs.values():
            self.jobs.append(self.executor.submit(self._job, job))

    def quiet(self) -> None:
        """Wait until no job runs any more: from now on the machine belongs to the measurement."""
        wait(self.jobs)

    def _job(self, job: list[Planned]) -> None:
        with self.serving[_lane(job[0][0])]:  # two jobs of one worker would change each other's model
            for cell, stage in job:
                self._settle(self.evidence_of[cell, stage], cell, stage)
            worker = self.worker(job[0][0], replica=_lane(job[0][0]).model)
            self.describe(worker)
            self.pool.stop(worker)

    def _settle(self, future: Future[Arrays], cell: Cell, stage: str) -> None:
        """Run one stage; a worker that dies costs this stage only, the next one gets a fresh worker."""
        try:
            needed = [self.evidence(plan.oracle(cell), name) for name in NEEDS.get(stage, ())]
            worker = self.worker(cell, replica=_lane(cell).model)
            future.set_result(self._run(worker, cell, stage, needed))
        except (WorkerFailed, StageFailed) as failure:
            future.set_exception(self._told(cell, stage, failure))
        except BaseException as error:
            future.set_exception(error)
            raise

    def _run(self, worker: Worker, cell: Cell, stage: str, needed: list[Arrays]) -> Arrays:
        """The arrays of a stage; bounds that an earlier run computed are not computed again."""
        if stage not in BOUNDS.values():
            return STAGES[stage](worker, cell, *needed)
        return self.kept.get(cell, stage, self.threads, needed, lambda: STAGES[stage](worker, cell, *needed))

    def _told(self, cell: Cell, stage: str, failure: WorkerFailed | StageFailed) -> StageFailed:
        """Record why a stage did not end; what a release is known to refuse is no failure of the cell."""
        details = getattr(failure, "details", "")
        place = (cell.implementation, cell.backend, cell.model, cell.device, cell.dtype)
        if cause := refusal(*place, f"{failure} {details}"):
            self.record(outcomes=[Outcome(cell, RECORDED.get(stage, stage), "skipped", cause, details[-MOST_DETAILS:])])
            return StageRefused(f"{stage}: {cause}")
        self.failed(cell, RECORDED.get(stage, stage), str(failure), details)
        return StageFailed(f"{stage}: {failure}")

    def worker(self, cell: Cell, threads: int | None = None, replica: str = "") -> Worker:
        """The worker that serves `cell`, with the session's number of threads or another; started if need be."""
        source, count = environments.source(cell.implementation, cell.backend), threads or self.threads
        role = Role(cell.implementation, cell.backend, cell.mode, cell.device, cell.dtype, count, source, replica)
        return self.pool.serving(role)

    def evidence(self, cell: Cell, stage: str) -> Arrays:
        """Wait for a stage of a cell. Raises StageFailed where its worker did not deliver."""
        item = (cell, stage)
        if item not in self.evidence_of:
            self.begin([item])
        return self.evidence_of[item].result()

    def unavailable(self, cell: Cell) -> str:
        """Why `cell` can't run here, or nothing; recorded the first time it is asked."""
        if cell not in self.reasons:
            self.reasons[cell] = reason_against(cell)
            if self.reasons[cell]:
                self.record(outcomes=[Outcome(cell, "start", "skipped", self.reasons[cell])])
        return self.reasons[cell]

    def failed(self, cell: Cell, stage: Any, reason: str, details: str = "") -> None:
        if not self.closing:  # a worker that ends because the session does has not failed
            self.record(outcomes=[Outcome(cell, stage, "failed", reason, details[-MOST_DETAILS:])])

    def passed(self, cell: Cell, stage: Any) -> None:
        self.record(outcomes=[Outcome(cell, stage, "ok")])

    def describe(self, worker: Worker) -> None:
        """Record what a worker runs on and the memory that it took; the last one of a role counts."""
        try:
            found, memory = RemoteModel(worker).hello(), RemoteModel(worker).memory()
        except WorkerFailed:
            return  # what it failed at is in the record already
        names = ("import_seconds", "threads", "python", "versions", "flags", "engine")
        role = worker.role
        key = (role.implementation, role.backend, role.mode, role.device, role.dtype)
        values = {name: found[name] for name in names}
        with self.lock:
            others = [known for known in self.run.services if records.role(known) != (*key, found["threads"])]
            self.run.services = [*others, Service(*key, peak_bytes=memory["peak_bytes"], **values)]

    def record(self, **lists: list[Any]) -> None:
        """Append to the run's lists; saved now and then, so that an interrupted run keeps what it measured."""
        with self.lock:
            for name, items in lists.items():
                getattr(self.run, name).extend(items)
            if time.monotonic() - self.saved > SAVE_SECONDS:
                self.save()

    def save(self) -> None:
        if self.folder is not None:
            with self.lock:
                records.save(self.run, self.folder)
                self.saved = time.monotonic()


def _lane(cell: Cell) -> Cell:
    """What the cells of one job have in common: a worker, or on a machine of many cores a model in a worker."""
    return cell if (os.cpu_count() or 1) >= MANY_CORES else replace(cell, model="")


def evidence_for(stage: str) -> list[str]:
    """The stages of the oracle that say what a stage has to give, and how closely."""
    return [*NEEDS.get(stage, ()), stage, *([BOUNDS[stage]] if stage in BOUNDS else [])]


def reason_against(cell: Cell) -> str:
    """Why `cell` can't run here, or nothing."""
    if reason := MODELS[cell.model].absent.get(cell.implementation, ""):
        return f"{cell.model} is not written for {cell.implementation}: {reason}"
    path = plan.program_path(cell)
    if not path.is_file():
        return f"there is no program {path.relative_to(machine.ROOT)}"
    if environments.of(cell.implementation, cell.backend):
        missing = environments.reason_against(cell.implementation, cell.backend)
        return missing or f"{cell.backend} runs on the CPU in its environment" * (cell.device != "cpu")
    return availability(cell.implementation, cell.backend, cell.device)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_run(options: dict[str, Any]) -> Run:
    """An empty record that starts now on this machine."""
    started = now()
    name = started[:19].replace(":", "").replace("-", "") + f"-{os.getpid()}"
    titles = {name: spec.title for name, spec in MODELS.items()}
    titles |= {name: entry.title for name, entry in IMPLEMENTATIONS.items()} | {name: name for name in BACKENDS}
    return Run(id=name, started=started, options=options, environment=machine.environment(), titles=titles)
