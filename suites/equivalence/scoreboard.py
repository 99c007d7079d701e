"""`python -m suites.equivalence.scoreboard`: plants every fault, and tells which were found and where.

A worker loads its framework once and the faulty source anew for each fault. It is compared with the oracle on the draws
of `inputs` until something departs. Before the first fault of a worker and after the last one it is compared without
any: whatever departs then is a false alarm, as it is for a change that is only rounding.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from impls import BACKENDS, IMPLEMENTATIONS, MODELS
from suites import plan
from suites.equivalence import faults
from suites.equivalence.evidence import Moment, Subject, departure, moments
from suites.equivalence.faults import Instance, Patch
from suites.equivalence.inputs import Draw, draws
from suites.equivalence.localise import Location
from suites.records import Cell
from suites.workers import Pool, Source, Worker, WorkerFailed, WorkerRaised, availability

FAILED, BAD_INPUT = 1, 2
Key = tuple[str, str, str]  # implementation, backend and mode: what one worker serves
# Every faulty program is compiled and runs once: XLA's optimisations take longer than they save.
SOURCE = Source(environment={"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"})


@dataclass
class Row:
    """One instance and what came of it."""

    instance: Instance
    location: Location | None = None
    error: str = ""  # what the program raised: found, but not localised
    skipped: str = ""
    seconds: float = 0.0

    @property
    def detected(self) -> bool:
        return self.location is not None or bool(self.error)

    @property
    def layer_found(self) -> bool:
        return self.location is not None and self.location.layer == self.instance.layer

    @property
    def found(self) -> bool:
        """In the exact layer and phase."""
        return self.layer_found and self.location is not None and self.location.phase == self.instance.phase

    @property
    def kind(self) -> str:
        return "equivalent" if self.instance.equivalent else "benign" if self.instance.benign else "fault"

    def record(self) -> dict[str, Any]:
        """As it is saved: the instance, and where it was found."""
        place, instance = self.location, asdict(self.instance)
        found: dict[str, Any] = {
            "found_layer": None,
            "found_phase": None,
            "tensor": None,
            "moment": None,
            "message": "",
        }
        if place is not None:
            found = {"found_layer": place.layer, "found_phase": place.phase, "tensor": place.tensor}
            found |= {"moment": place.moment, "message": str(place)}
        return {
            **instance,
            "kind": self.kind,
            "detected": self.detected,
            **found,
            "error": self.error,
            "skipped": self.skipped,
            "seconds": round(self.seconds, 3),
        }


@dataclass
class Score:
    """All rows, and the comparisons without a fault."""

    rows: list[Row] = field(default_factory=list)
    clean: int = 0
    alarms: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def of(self, kind: str) -> list[Row]:
        return [row for row in self.rows if row.kind == kind and not row.skipped]

    @property
    def missed(self) -> list[Row]:
        return [row for row in self.of("fault") if not row.detected]

    @property
    def wrongly_found(self) -> list[Row]:
        """Equivalent ones that do depart: they are not equivalent; and changes that were said to be only rounding."""
        return [row for row in [*self.of("equivalent"), *self.of("benign")] if row.detected]

    @property
    def good(self) -> bool:
        return not (self.missed or self.wrongly_found or self.alarms)

    def document(self) -> dict[str, Any]:
        """What results/faults.json holds."""
        planted, benign = self.of("fault"), self.of("benign")
        return {
            "faults": len({row.instance.fault for row in planted}),
            "instances": len(planted),
            "detected": sum(row.detected for row in planted),
            "localised_layer": sum(row.layer_found for row in planted),
            "localised_layer_and_phase": sum(row.found for row in planted),
            "equivalent": len(self.of("equivalent")),
            "clean_comparisons": self.clean + len(benign),
            "false_alarms": len(self.alarms) + sum(row.detected for row in benign),
            "seconds": round(self.seconds, 1),
            "skipped": self.skipped,
            "alarms": self.alarms,
            "rows": [row.record() for row in self.rows],
        }


class Truths:
    """The oracle's evidence of every draw, computed when it is first asked for, by one worker for all threads.

    That worker is not of the board's pool, where faults are planted in the oracle's own sources.
    """

    def __init__(self, oracle: Worker) -> None:
        self.subject = Subject(oracle)
        self.lock = threading.Lock()
        self.base: Patch | None = None
        self.known: dict[tuple[str, str, Patch | None], list[Moment]] = {}

    def of(self, draw: Draw, base: Patch | None) -> list[Moment]:
        """The evidence of the oracle, whose program has `base` in it."""
        with self.lock:
            key = draw.model, draw.name, base
            if key not in self.known:
                if base != self.base:
                    self.subject.plant(faults.planted(base))
                    self.base = base
                self.known[key] = list(moments(self.subject, draw))
            return self.known[key]


class Board:
    """Runs the instances of one worker after the other, on as many workers at once as there are cores."""

    def __init__(self, pool: Pool, oracle: Worker, progress: Callable[[], object] = lambda: None) -> None:
        self.pool, self.truths, self.progress = pool, Truths(oracle), progress

    def run(self, instances: Sequence[Instance], parallel: int) -> Score:
        """The score of all instances."""
        start, score = time.monotonic(), Score()
        with ThreadPoolExecutor(parallel, thread_name_prefix="faults") as executor:
            jobs = [executor.submit(self._group, key, group) for key, group in grouped(instances)]
            try:
                for part in _finished(jobs):
                    score.rows += part.rows
                    score.clean += part.clean
                    score.alarms += part.alarms
                    score.skipped |= part.skipped
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                self.pool.close()
                raise
        order = {instance: at for at, instance in enumerate(instances)}
        score.rows.sort(key=lambda row: order[row.instance])
        score.seconds = time.monotonic() - start
        return score

    def _group(self, key: Key, instances: Sequence[Instance]) -> Score:
        """All instances of one worker, between two comparisons without a fault."""
        score, programs = Score(), list(dict.fromkeys((instance.model, instance.base) for instance in instances))
        if reason := availability(key[0], key[1]):
            score.skipped["-".join(key)] = reason
            score.rows = [Row(instance, skipped=reason) for instance in instances]
            return score
        self._clean(key, programs, score)
        for instance in instances:
            score.rows.append(self.planted(instance))
            self.progress()
        self._clean(key, [(model, base) for model, base in programs if base is None], score)
        self.pool.stop(self._worker(key))
        return score

    def _worker(self, key: Key) -> Worker:
        return self.pool.worker(*key, source=SOURCE)

    def _clean(self, key: Key, programs: Iterable[tuple[str, Patch | None]], score: Score) -> None:
        """Compare the programs without a fault: nothing may depart."""
        subject = Subject(self._worker(key))
        for model, base in programs:
            subject.plant(faults.planted(base))
            cell = Cell(model, *key, "cpu", "float64")
            for draw in draws(model):
                score.clean += 1
                if alarm := self._alarm(subject, cell, draw, base):
                    score.alarms.append(f"{plan.label(cell)}: {alarm}")

    def _alarm(self, subject: Subject, cell: Cell, draw: Draw, base: Patch | None) -> str:
        """What departs where nothing should, or what failed."""
        try:
            return str(self._departure(subject, cell, draw, base) or "")
        except WorkerFailed as failure:
            return f"{draw.name}: {failure.reason}"

    def planted(self, instance: Instance) -> Row:
        """Plant one fault and compare until something departs."""
        start, row = time.monotonic(), Row(instance)
        key = instance.implementation, instance.backend, instance.mode
        cell = Cell(instance.model, *key, "cpu", "float64")
        try:
            subject = Subject(self._worker(key))
            subject.plant(instance.patches)
            for draw in draws(instance.model):
                row.location = self._departure(subject, cell, draw, instance.base)
                if row.location is not None:
                    break
        except WorkerRaised as failure:
            if failure.error == "PatchError":
                raise faults.FaultError(f"{instance.label}: {failure.message}") from failure
            row.error = failure.reason
        except WorkerFailed as failure:
            row.error = failure.reason
        row.seconds = time.monotonic() - start
        return row

    def _departure(self, subject: Subject, cell: Cell, draw: Draw, base: Patch | None) -> Location | None:
        return departure(subject, cell, plan.oracle(cell), draw, self.truths.of(draw, base))


def _finished(jobs: Sequence[Future[Score]]) -> Iterable[Score]:
    for job in as_completed(jobs):
        yield job.result()


def grouped(instances: Iterable[Instance]) -> list[tuple[Key, list[Instance]]]:
    """Instances by the worker that serves them, the dearest backend first, so that no core waits at the end."""
    groups: dict[Key, list[Instance]] = {}
    for instance in instances:
        groups.setdefault((instance.implementation, instance.backend, instance.mode), []).append(instance)
    dear = ("jax", "tensorflow")
    return sorted(groups.items(), key=lambda item: (item[0][1] not in dear, -len(item[1])))


def quick(instances: Iterable[Instance]) -> list[Instance]:
    """One instance of each fault, on the cheapest backend that it has."""
    order = ("numpy", "torch", "tensorflow", "jax")
    chosen: dict[str, Instance] = {}
    for instance in sorted(instances, key=lambda item: order.index(item.backend)):
        chosen.setdefault(instance.fault, instance)
    return list(chosen.values())


def save(document: dict[str, Any], path: Path) -> None:
    """Write the old file anew in one move: a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def table(score: Score) -> str:
    """The score, and every instance that was missed or found elsewhere."""
    counts = score.document()
    lines = [
        f"{name.replace('_', ' '):<28}{value}" for name, value in counts.items() if isinstance(value, (int, float))
    ]
    lines += [f"not run: {key}: {reason}" for key, reason in score.skipped.items()]
    for row in score.missed:
        lines.append(f"MISSED     {row.instance.label}: {row.instance.title}")
    for row in score.wrongly_found:
        lines.append(f"NOT {row.kind.upper():<11}{row.instance.label}: {row.location or row.error}")
    lines += [f"ALARM      {alarm}" for alarm in score.alarms]
    for row in score.of("fault"):
        if row.detected and not row.found:
            wanted = f"{row.instance.layer}, {row.instance.phase}"
            lines.append(f"ELSEWHERE  {row.instance.label}: expected {wanted}; {row.location or row.error}")
    return "\n".join(lines)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s faults --", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", type=Path, action="append", help="score this file of faults instead of the catalogue")
    parser.add_argument("--quick", action="store_true", help="one instance of each fault, on its cheapest backend")
    parser.add_argument("--only", default="", metavar="IDS", help="faults by their ids, comma-separated")
    parser.add_argument("--implementation", default="", help="implementations, comma-separated (default: all)")
    parser.add_argument("--backend", default="", help="backends, comma-separated (default: all)")
    parser.add_argument("--model", default="", help="models, comma-separated (default: all)")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER")
    return parser.parse_args(arguments)


def chosen(options: argparse.Namespace) -> list[Instance]:
    """The instances that the command line asks for. Raises FaultError or PlanError."""
    known = faults.read(options.file or sorted(faults.CATALOGUE.glob("*.toml")))
    ids = plan.names("fault", options.only, dict.fromkeys(instance.fault for instance in known))
    implementations = plan.names("implementation", options.implementation, IMPLEMENTATIONS)
    backends = plan.names("backend", options.backend, BACKENDS)
    models = plan.names("model", options.model, MODELS)
    wanted = [
        instance
        for instance in known
        if (not ids or instance.fault in ids)
        and (not implementations or instance.implementation in implementations)
        and (not backends or instance.backend in backends)
        and (not models or instance.model in models)
    ]
    if not wanted:
        raise plan.PlanError("nothing to plant: no fault of the catalogue has this combination")
    return quick(wanted) if options.quick else wanted


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    try:
        instances = chosen(options)
        plan.check_folder(options.results)
        with Pool() as pool, Pool() as other, tqdm(total=len(instances), unit="fault", dynamic_ncols=True) as bar:
            score = Board(pool, other.worker(*plan.ORACLE), bar.update).run(instances, os.cpu_count() or 1)
    except (faults.FaultError, plan.PlanError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    save(score.document(), options.results / "faults.json")
    print(table(score))
    return 0 if score.good else FAILED


if __name__ == "__main__":
    sys.exit(main())
