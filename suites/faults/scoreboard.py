"""Inject every bug of the catalogue, and say which were found and where.

A worker loads its framework once, and the changed source again for each bug. It is compared with the oracle on the
draws of `draws` until something differs. Before the first bug of a worker and after the last one it is compared without
any: whatever differs then is a false alarm, as it is for a change that is only rounding.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tqdm import tqdm

from impls import BACKENDS, IMPLEMENTATIONS, MODELS
from impls.model_differences import diffs, spreading
from suites.equivalence.draws import Draw, draws
from suites.equivalence.localise import Location
from suites.faults import catalogue
from suites.faults.catalogue import Base, Instance, Key
from suites.faults.moments import (
    Known,
    Shown,
    Subject,
    departure,
    known,
    layers_of,
    moments,
    passes_and_steps,
    precisions,
    with_layers,
)
from suites.faults.score import Alarm, Row, Score, save, table
from suites.records import terminal
from suites.records.run import Cell
from suites.runner import machine, plan
from suites.runner.workers import Pool, Source, Worker, WorkerFailed, WorkerRaised, availability

FAILED, BAD_INPUT = 1, 2
DEAR = ("long", "real")
# Every faulty program is compiled and runs once: XLA's optimisations take longer than they save.
SOURCE = Source(environment={"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"})


class SuiteError(Exception):
    """The oracle, or a program without its fault, could not be run: a mistake of the suite, evidence of nothing."""


class Truths:
    """The oracle's evidence of every draw, computed when it is first asked for, by one worker for all threads.

    That worker is not of the board's pool, where faults are planted in the oracle's own sources.
    """

    def __init__(self, oracle: Worker) -> None:
        self.subject = Subject(oracle)
        self.lock = threading.Lock()
        self.planted: list[dict[str, str]] = []
        self.known: dict[tuple[str, ...], list[Known]] = {}

    def of(self, cell: Cell, draw: Draw, base: Base | None, shown: Shown = moments) -> list[Known]:
        """The evidence of the oracle, with the bounds that `cell` needs.

        Its program has `base` in it, and what the library of `cell` is known to compute otherwise.
        """
        wanted = precisions(cell)
        patches = [*catalogue.planted(base), *diffs(cell.implementation, cell.backend, cell.model)]
        with self.lock:
            rounds = spreading(cell.implementation, cell.backend, cell.model)
            key = draw.model, draw.name, repr([patches, rounds]), wanted[-1], shown.__name__
            if key not in self.known:
                try:
                    if patches != self.planted:
                        self.planted = []
                        self.subject.plant(patches)
                        self.planted = patches
                    if rounds:
                        self.planted = []  # what `known` leaves
                    self.known[key] = known(self.subject, draw, wanted, shown, rounds)
                except WorkerFailed as failure:
                    raise SuiteError(f"{draw.name}: the oracle failed: {failure.reason}") from failure
            return self.known[key]


class Board:
    """Runs the instances of one worker after the other, on as many workers at once as there are cores."""

    def __init__(self, pool: Pool, oracle: Worker, progress: Callable[[], object] = lambda: None) -> None:
        self.pool, self.truths, self.progress = pool, Truths(oracle), progress

    def run(self, instances: Sequence[Instance], parallel: int, plants: bool = True) -> Score:
        """The score of all instances; `plants` false: only their programs are compared, without the faults."""
        start, score = time.monotonic(), Score()
        with ThreadPoolExecutor(parallel, thread_name_prefix="faults") as executor:
            jobs = [executor.submit(self._group, key, group, plants) for key, group in grouped(instances)]
            try:
                for job in as_completed(jobs):
                    score.add(job.result())
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                self.pool.close()
                raise
        order = {instance: at for at, instance in enumerate(instances)}
        score.rows.sort(key=lambda row: order[row.instance])
        score.seconds = time.monotonic() - start
        return score

    def _group(self, key: Key, instances: Sequence[Instance], plants: bool) -> Score:
        """All instances of one worker, between two comparisons without a fault."""
        score = Score()
        if reason := availability(key[0], key[1]):
            score.skipped["-".join(key)] = reason
            score.rows = [Row(instance, skipped=reason) for instance in instances]
            return score
        programs = {(instance.model, instance.base): instance for instance in reversed(instances)}
        failing = self._clean(programs.values(), score)
        if plants:
            for instance in instances:
                broken = failing.get((instance.model, instance.base), "")
                score.rows.append(Row(instance, broken=broken) if broken else self.planted(instance))
                self.progress()
            failing = self._clean([instance for instance in programs.values() if instance.base is None], score)
            score.rows += [Row(programs[program], broken=why) for program, why in failing.items()]
        self.pool.stop(self._worker(instances[0]))
        return score

    def _worker(self, instance: Instance) -> Worker:
        return self.pool.worker(*instance.key, source=SOURCE)

    def _clean(self, instances: Iterable[Instance], score: Score) -> dict[tuple[str, Base | None], str]:
        """Compare the programs of `instances` without their faults: nothing may depart. Why some could not be run."""
        failing: dict[tuple[str, Base | None], str] = {}
        for instance in instances:
            subject = Subject(self._worker(instance))
            subject.plant(catalogue.planted(instance.base))
            for draw in shown_to(instance):
                score.clean += 1
                try:
                    alarm = Alarm(instance, self._departure(subject, instance, draw))
                except (WorkerFailed, SuiteError) as failure:
                    failing[instance.model, instance.base] = f"without the fault: {draw.name}: {failure}"
                    continue
                if alarm.location:
                    score.alarms.append(alarm)
        return failing

    def planted(self, instance: Instance) -> Row:
        """Plant one fault and compare until something departs."""
        start, row = time.monotonic(), Row(instance)
        try:
            subject = Subject(self._worker(instance))
            subject.plant(instance.patches)
            for draw in shown_to(instance):
                row.location = self._departure(subject, instance, draw)
                if row.location is not None:
                    break
        except WorkerRaised as failure:
            if failure.error == "PatchError":
                raise catalogue.FaultError(f"{instance.label}: {failure.message}") from failure
            row.error = failure.reason
        except WorkerFailed as failure:
            row.error = failure.reason
        except SuiteError as error:
            row.broken = str(error)
        row.seconds = time.monotonic() - start
        return row

    def _departure(self, subject: Subject, instance: Instance, draw: Draw) -> Location | None:
        cell, base = instance.cell, instance.base
        layers = layers_of(draw) if base is None else tuple(map(base.turned, layers_of(draw)))
        draw = draw if base is None else with_layers(draw, layers)
        truth = self.truths.of(cell, draw, base)
        finer = partial(self.truths.of, cell, draw, base, passes_and_steps)
        return departure(subject, cell, plan.oracle(cell), draw, layers, truth, finer)


def shown_to(instance: Instance) -> list[Draw]:
    """The draws for an instance; without those that take longest where each needs an oracle of its own, with a base."""
    return [draw for draw in draws(instance.model) if instance.base is None or draw.name not in DEAR]


def grouped(instances: Iterable[Instance]) -> list[tuple[Key, list[Instance]]]:
    """Instances by the worker that serves them, the dearest backend first, so that no core waits at the end."""
    groups: dict[Key, list[Instance]] = {}
    for instance in instances:
        groups.setdefault(instance.key, []).append(instance)
    dear = ("jax", "tensorflow")
    return sorted(groups.items(), key=lambda item: (item[0][1] not in dear, -len(item[1])))


def quick(instances: Iterable[Instance]) -> list[Instance]:
    """One instance of each fault, on the cheapest backend that it has."""
    dear = {"torch": 1, "tensorflow": 2, "jax": 3}
    chosen: dict[str, Instance] = {}
    for instance in sorted(instances, key=lambda item: dear.get(item.backend, 0)):
        chosen.setdefault(instance.fault, instance)
    return list(chosen.values())


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="triptych faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", type=Path, action="append", help="score this file of bugs instead of the catalogue")
    parser.add_argument("--quick", action="store_true", help="one instance of each bug, on its cheapest backend")
    parser.add_argument("--clean", action="store_true", help="inject nothing: compare the programs as they are")
    parser.add_argument("--only", default="", metavar="IDS", help="bugs by their ids, comma-separated")
    parser.add_argument("--implementation", default="", help="implementations, comma-separated (default: all)")
    parser.add_argument("--backend", default="", help="backends, comma-separated (default: all)")
    parser.add_argument("--model", default="", help="models, comma-separated (default: all)")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER")
    return parser.parse_args(arguments)


def chosen(options: argparse.Namespace) -> list[Instance]:
    """The instances that the command line asks for. Raises FaultError or PlanError."""
    known = catalogue.read(options.file or sorted(catalogue.CATALOGUE.glob("*.toml")))
    ids = plan.names("fault", options.only, dict.fromkeys(instance.fault for instance in known))
    implementations = plan.names("implementation", options.implementation, IMPLEMENTATIONS)
    backends = plan.names("backend", options.backend, BACKENDS)
    models = plan.names("model", options.model, MODELS)
    wanted = []
    for each in known:
        own = each.fault, each.implementation, each.backend, each.model
        asked = ids, implementations, backends, models
        if all(not names or name in names for name, names in zip(own, asked, strict=True)):
            wanted.append(each)
    if not wanted:
        raise plan.PlanError("nothing to inject: no bug of the catalogue has this combination")
    return quick(wanted) if options.quick else wanted


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    try:
        instances = chosen(options)
        plan.check_folder(options.results)
        with Pool() as pool, Pool() as other, tqdm(total=len(instances), unit="fault", dynamic_ncols=True) as bar:
            board = Board(pool, other.worker(*plan.ORACLE), bar.update)
            score = board.run(instances, os.cpu_count() or 1, not options.clean)
    except (catalogue.FaultError, plan.PlanError) as error:
        return terminal.refuse(error)
    path = options.results / ("faults-part.json" if narrowed(options) else "faults.json")
    save({**score.document(), "environment": asdict(machine.environment())}, path)
    print(f"{table(score)}\n{path}")
    return 0 if score.good else FAILED


def narrowed(options: argparse.Namespace) -> bool:
    """Whether this is a part of the scoreboard, which must not take the place of the whole."""
    return any(getattr(options, name) for name in ("only", "implementation", "backend", "model", "quick", "clean"))


if __name__ == "__main__":
    sys.exit(main())
