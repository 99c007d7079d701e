"""`nox -s gate` measures with this: the same cells of two revisions, each from its own tree in its own workers.

It records and judges nothing: `reports.gate` does. Exit status 2: a revision, a name or an interpreter is not there;
130: it was interrupted, and what it had measured is saved.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby, product
from pathlib import Path
from typing import Any, Literal

from suites.gate import exact_counts, placement, revisions
from suites.gate.paired_rounds import Duel, Pairs, build, fight, pairs_of, units
from suites.gate.revisions import Revision, RevisionError
from suites.records import gate, terminal
from suites.records.gate import Contest, Duels, Failure, Side, SideName
from suites.records.run import Cell
from suites.records.stopping_rule import PAIRS, Rule
from suites.runner import machine, plan
from suites.runner.laboratory import now, reason_against
from suites.runner.workers import Role, Source, Worker, WorkerFailed
from suites.speed.rounds import Arm

Call = Literal["train_step", "predict"]
WHATS: tuple[Call, ...] = ("train_step", "predict")
SIDES: tuple[SideName, SideName] = ("base", "head")
PARTS = ("speed", "counts", "equivalence")
CANARY = 0.05
CANARY_CALLS = 20  # in a unit, of which CANARY is a whole call
FILTERS = ("model", "implementation", "backend", "mode", "device", "size")


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        selection = plan.selection({**{name: getattr(options, name) for name in FILTERS}, "require": ""})
        plan.check_device(selection.device)
        plan.check_folder(Path(options.results))
        parts = plan.names("part in --only", options.only, PARTS) or PARTS
        with tempfile.TemporaryDirectory(prefix="triptych-gate-") as folder:
            sides = taken(options, Path(folder))
            record(sides, selection, parts, Path(options.results), Path(folder))
    except (plan.PlanError, RevisionError) as error:
        return terminal.refuse(error)
    except KeyboardInterrupt:
        terminal.LOG.info(f"interrupted: `python -m reports.gate --results {options.results}` shows what is known")
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="triptych gate --own",
        allow_abbrev=False,
        description="Is head slower than base, or worse in another respect?",
    )
    found.add_argument("--base", required=True, metavar="REV", help="the revision to compare with, as git names it")
    found.add_argument("--head", default="", metavar="REV", help="the revision to judge (default: the working tree)")
    found.add_argument("--base-env", default=sys.executable, metavar="PYTHON", help="another interpreter for base")
    found.add_argument("--head-env", default=sys.executable, metavar="PYTHON", help="another interpreter for head")
    for name in FILTERS:
        found.add_argument(f"--{name}", default="", help=f"{name}s, comma-separated, as in `nox -s bench`")
    found.add_argument("--only", default="", help=f"of {', '.join(PARTS)}, comma-separated (default: all)")
    found.add_argument("--results", default="results", metavar="FOLDER")
    found.add_argument("--budgets", metavar="TOML", help="policies and budgets (default: reports/gate/gate.toml)")
    return found


def taken(options: argparse.Namespace, folder: Path) -> tuple[Revision, Revision]:
    """Both trees, unpacked."""
    for option, python in (("--base-env", options.base_env), ("--head-env", options.head_env)):
        if not os.access(python, os.X_OK) or Path(python).is_dir():
            raise RevisionError(f"{option} {python}: is no interpreter that can be started")
    base = revisions.take(options.base, "--base", folder / "base", options.base_env)
    return base, revisions.take(options.head, "--head", folder / "head", options.head_env)


def record(
    sides: tuple[Revision, Revision], selection: plan.Selection, parts: Sequence[str], results: Path, folder: Path
) -> None:
    """Measure what both sides have, and save it after every worker."""
    found = Duels(now(), machine.environment(), side(sides[0]), side(sides[1]), asked(selection))
    found.vanished, found.new = apart(sides, selection)
    found.fixed_addresses = bool(placement.fixed_addresses())
    cells = common(sides, selection, found)
    if not cells:
        raise RevisionError(f"nothing to compare: no cell of {asked(selection)} runs here in both revisions")
    run = Run(found, sources(sides, folder), results)
    for role, group in groupby(cells, key=lambda cell: (cell.implementation, cell.backend, cell.mode)):
        run.role(list(group), parts)
        terminal.LOG.info(f"measured {' '.join(role)}")
    if "speed" in parts:
        run.proofs()
    run.finish()


def asked(selection: plan.Selection) -> dict[str, str]:
    words = {name: ",".join(getattr(selection, f"{name}s")) for name in FILTERS[:4]}
    return {**{name: text for name, text in words.items() if text}, "device": selection.device, "size": selection.size}


def side(revision: Revision) -> Side:
    """What the record keeps of a revision."""
    versions = exact_counts.versions(revision.python)
    return Side(revision.name, revision.commit, revision.dirty, versions.pop("python"), versions)


def sources(sides: tuple[Revision, Revision], folder: Path) -> tuple[Source, Source]:
    base, head = (
        Source(placement.launcher(item.python, folder, f"python-{name}"), item.root)
        for name, item in zip(SIDES, sides, strict=True)
    )
    return base, head


def cells_of(revision: Revision, selection: plan.Selection) -> set[Cell]:
    """The cells that a tree has, in each backend's default mode or the modes that were asked for."""
    found = set()
    for name, backends in revision.registry["implementations"].items():
        for backend, known in backends.items():
            modes = [mode for mode in known if mode in selection.modes] if selection.modes else known[:1]
            for mode, model in product(modes, revision.registry["models"]):
                written = (revision.root / "impls" / model / f"{name}.py").is_file()
                if written and _wanted(selection, model, name, backend):
                    found.add(Cell(model, name, backend, mode, selection.device, "float32", selection.size))
    return found


def _wanted(selection: plan.Selection, model: str, implementation: str, backend: str) -> bool:
    asked = (selection.models, selection.implementations, selection.backends)
    chosen = zip((model, implementation, backend), asked, strict=True)
    return all(not names or name in names for name, names in chosen)


def apart(sides: tuple[Revision, Revision], selection: plan.Selection) -> tuple[list[Cell], list[Cell]]:
    """The cells that only base has, and those that only head has."""
    base, head = (cells_of(revision, selection) for revision in sides)
    return sorted(base - head), sorted(head - base)


def common(sides: tuple[Revision, Revision], selection: plan.Selection, found: Duels) -> list[Cell]:
    """The cells that both sides have and that run here, those of one worker together; the reasons go to `found`."""
    both = set.intersection(*(cells_of(revision, selection) for revision in sides))
    for cell in [cell for cell in selection.cells("float32") if cell in both]:
        if reason := reason_against(cell):
            found.skipped.setdefault(reason, []).append(cell)
        else:
            found.compared.append(cell)
    return found.compared


class Crew:
    """The workers of both sides that serve one (implementation, backend, mode, device); one that died is replaced."""

    def __init__(self, cell: Cell, sources: Sequence[Source]) -> None:
        self.cell, self.sources = cell, dict(zip(SIDES, sources, strict=True))
        self.workers: dict[tuple[SideName, int, str], Worker] = {}

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers.values():
            worker.stop()

    def worker(self, name: SideName, index: int = 0, dtype: str = "float32") -> Worker:
        """Worker `index` of a side, which may still be loading."""
        key, cell = (name, index, dtype), self.cell
        if key not in self.workers or not self.workers[key].alive:
            source = replace(self.sources[name], environment=placement.environment(index % PAIRS))
            role = Role(cell.implementation, cell.backend, cell.mode, cell.device, dtype, 1, source)
            self.workers[key] = Worker(role)
        return self.workers[key]

    def pairs(self, cell: Cell, head: SideName = "head") -> Pairs:
        """Pairs of workers with the cell's model built in each, of base and `head`. Raises SideFailed."""
        names: list[tuple[SideName, int]] = []
        for index in range(PAIRS):
            names += [("base", index), (head, index if head == "head" else PAIRS + index)]
        workers = [(name, self.worker(name, index)) for name, index in names]  # they load at the same time
        return pairs_of([self._built(name, worker, cell) for name, worker in workers])

    def _built(self, name: SideName, worker: Worker, cell: Cell) -> Arm:
        with on(name):
            return build(worker, cell)


class SideFailed(Exception):
    """A worker of one side failed."""

    def __init__(self, side: SideName, reason: str) -> None:
        super().__init__(reason)
        self.side = side


@contextmanager
def on(name: SideName) -> Iterator[None]:
    """Whatever worker fails within is one of this side."""
    try:
        yield
    except WorkerFailed as failure:
        raise SideFailed(name, str(failure)) from failure


class Run:
    """Measures into a record."""

    def __init__(self, found: Duels, sources: tuple[Source, Source], results: Path) -> None:
        self.found, self.sources, self.results = found, sources, results
        self.cheapest: tuple[float, Cell, Call] | None = None
        self.load()

    def load(self) -> None:
        self.found.load.append(list(os.getloadavg()))

    def role(self, cells: list[Cell], parts: Sequence[str]) -> None:
        """Everything about the cells of one kind of worker."""
        actions = {"speed": self.timed, "counts": self.counted, "equivalence": self.compared}
        try:
            with Crew(cells[0], self.sources) as crew:
                for part, cell in product(parts, cells):
                    self.guarded(cell, part, partial(actions[part], crew, cell))
        finally:
            gate.save(self.found, self.results)

    def guarded(self, cell: Cell, stage: Any, action: Callable[[], None]) -> None:
        """Run `action`; a failure is recorded with the side that failed, where that is known."""
        try:
            action()
        except SideFailed as failure:
            self.found.failures.append(Failure(cell, failure.side, stage, str(failure)))
        except WorkerFailed as failure:
            self.found.failures.append(Failure(cell, "either", stage, str(failure)))

    def timed(self, crew: Crew, cell: Cell) -> None:
        pairs = crew.pairs(cell)
        for what in WHATS:
            self.contest(pairs, cell, what)

    def contest(self, pairs: Pairs, cell: Cell, what: Call, role: Any = "gate", extra: float = 0.0) -> None:
        """One comparison, recorded as it was measured."""
        calls = CANARY_CALLS if extra else 1
        duel = Duel(units(pairs, what, calls), calls, extra)
        rule = Rule.of(cell.backend, len(self.found.compared) * len(WHATS))
        fight(pairs, what, duel, rule, bound=cell.device == "cpu", seed=len(self.found.contests))
        rounds = (duel.base, duel.head, duel.base_whole, duel.head_whole)
        self.found.contests.append(Contest(cell, what, role, *duel.unit, *rounds, duel.seconds))
        cost = (min(duel.base), cell, what)
        self.cheapest = min(self.cheapest or cost, cost)

    def proofs(self) -> None:
        """A twin that must not alarm and a canary that must, on the cell whose calls are the shortest."""
        if self.cheapest is None:
            return
        _, cell, what = self.cheapest
        with Crew(cell, self.sources) as crew:
            self.guarded(cell, "speed", lambda: self._proofs(crew.pairs(cell, "base"), cell, what))

    def _proofs(self, pairs: Pairs, cell: Cell, what: Call) -> None:
        self.contest(pairs, cell, what, "twin")
        self.contest(pairs, cell, what, "canary", CANARY)

    def counted(self, crew: Crew, cell: Cell) -> None:
        self.found.counts += exact_counts.program_counts(cell, *(source.root for source in self.sources))
        counts = []
        for name in SIDES:
            with on(name):
                counts.append(exact_counts.engine_counts(crew.worker(name), cell))
        self.found.counts += exact_counts.paired(cell, *counts)

    def compared(self, crew: Crew, cell: Cell) -> None:
        for name in SIDES:
            with on(name):
                self.found.differences += exact_counts.differences(crew.worker(name, dtype="float64"), cell, name)

    def finish(self) -> None:
        self.load()
        self.found.finished = now()
        gate.save(self.found, self.results)


if __name__ == "__main__":
    sys.exit(main())
