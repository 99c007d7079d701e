"""Spreads the tasks of a campaign over workers by Dask: threads of this process, processes of this machine, a cluster.

Only this process writes to the store, as results arrive. A task of a worker that was killed is done again by another
one (Dask sees to that), and what a killed scheduler or Ctrl-C leaves undone is not in the store, so that the same
command goes on where it was stopped.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from suites.campaign import work
from suites.campaign.store import Record, Store

AHEAD = 3  # tasks in a worker's queue, so that it never waits for the next one
DEATHS = 10  # of a task's workers before it is given up
Task = tuple[str, list[int]]
Do = Callable[[Task, tuple[str, ...]], list[Record]]


class Unreachable(RuntimeError):
    """The scheduler can't be reached, or is gone."""


@dataclass
class Plan:
    """What a campaign does: seeds from `first` on, until `networks` and `operations` are judged or the time is over."""

    first: int = 0
    networks: int = 0
    operations: int = 0
    seconds: float = 0.0  # 0: no limit
    only: tuple[str, ...] = ()

    def tasks(self, store: Store) -> Iterator[Task]:
        """What is not in the store yet, operations and networks in turn."""
        networks = (("network", [seed]) for seed in self._left("network", self.networks, store))
        left = self._left("operation", self.operations, store)
        operations = (("operation", batch) for batch in batches(left, work.BATCH))
        for pair in itertools.zip_longest(operations, networks):
            yield from (task for task in pair if task is not None)

    def _left(self, kind: str, count: int, store: Store) -> Iterator[int]:
        return (
            seed for seed in range(self.first, self.first + count) if (kind, seed, work.about(self.only)) not in store
        )


@dataclass
class Progress:
    """Told of every record that was written."""

    start: float = field(default_factory=time.monotonic)
    records: int = 0
    realisations: int = 0
    networks: int = 0
    findings: int = 0
    address: str = ""

    def note(self, record: Record) -> None:
        self.records += 1
        self.networks += record["kind"] == "network"
        self.realisations += len(record.get("results", {}))
        self.findings += bool(work.alarms(record))

    def line(self) -> str:
        """What the live view shows."""
        minutes = (time.monotonic() - self.start) / 60 or 1e-9
        return (
            f"{self.records} cases, {self.realisations} realisations, {self.networks / minutes:.1f} networks a minute, "
            f"{self.realisations / minutes:.0f} realisations a minute, {self.findings} with alarms"
        )


def connect(scheduler: str, workers: int) -> Any:
    """A client of Dask: of a cluster by its address, of processes here, or (one worker) of a thread here."""
    from dask.distributed import Client, LocalCluster  # takes half a second, which only this command should

    if scheduler:
        try:
            return Client(scheduler, timeout="20s")
        except (OSError, ValueError) as error:
            raise Unreachable(f"no scheduler answers at {scheduler!r}: start one by `dask scheduler`") from error
    options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0}
    return Client(LocalCluster(n_workers=workers, processes=workers > 1, **options))


def run(
    plan: Plan, store: Store, client: Any, tell: Callable[[Progress], None] = lambda progress: None, do: Do = work.do
) -> Progress:
    """Do what the plan holds and the store has not; what was written is in the store whatever happens."""
    from dask.distributed import as_completed

    progress = Progress(address=str(getattr(client, "dashboard_link", "") or ""))
    tasks, pending = plan.tasks(store), as_completed()
    stop = time.monotonic() + plan.seconds if plan.seconds else float("inf")

    def submit() -> bool:
        task = next(tasks, None) if time.monotonic() < stop else None
        if task is not None:
            pending.add(client.submit(do, task, plan.only, pure=False, retries=DEATHS))
        return task is not None

    for _ in range(AHEAD * max(1, slots(client))):
        submit()
    for batch in pending.batches():  # what arrived since the last time is synced once: many workers wait for no disk
        for future in batch:
            for record in _records(future):
                if store.add(record, sync=False):
                    progress.note(record)
        store.sync()
        tell(progress)
        for _ in batch:
            submit()
    return progress


def _records(future: Any) -> list[Record]:
    """What a task came to; raises Unreachable where it is lost."""
    try:
        return list(future.result())
    except Exception as error:
        raise Unreachable(f"a task was lost with its scheduler or its workers: {error}") from error


def batches(seeds: Iterator[int], size: int) -> Iterator[list[int]]:
    """Lists of so many, the last one shorter."""
    while batch := list(itertools.islice(seeds, size)):
        yield batch


def slots(client: Any) -> int:
    """How many tasks the cluster does at a time."""
    return int(sum(client.nthreads().values()))
