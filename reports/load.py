"""Reads result files and puts several runs together without comparing what can't be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from suites import records
from suites.records import (
    Cell,
    Change,
    Comparison,
    Gadget,
    Operations,
    Outcome,
    Program,
    Run,
    Service,
    Timing,
    Training,
    Upgrade,
)

RESULTS = Path("results")
UPGRADES = Path(__file__).parent / "data" / "upgrade.json"  # of `nox -s upgrade`, for runs that have none

T = TypeVar("T")


@dataclass(frozen=True)
class Evidence:
    """What all loaded runs recorded. `runs` keeps them apart where only one run's own numbers may meet."""

    runs: tuple[Run, ...]
    titles: dict[str, str]
    outcomes: tuple[Outcome, ...]
    comparisons: tuple[Comparison, ...]
    trainings: tuple[Training, ...]
    timings: tuple[Timing, ...]
    services: tuple[Service, ...]
    programs: tuple[Program, ...]
    gadgets: tuple[Gadget, ...]
    operations: tuple[Operations, ...]
    changes: tuple[Change, ...]
    upgrades: tuple[Upgrade, ...]
    upgraded: str  # when, and on which machine

    def title(self, name: str) -> str:
        """What a person calls a model or an implementation."""
        return self.titles.get(name, name)

    def order(self, cell: Cell) -> tuple[Any, ...]:
        """Sorts cells in the order of the registry, unknown names last."""
        rest = (cell.mode, cell.device, cell.dtype, cell.size)
        return (*self._place(cell.implementation), *self._place(cell.backend), *rest, *self._place(cell.model))

    def _place(self, name: str) -> tuple[int, str]:
        names = list(self.titles)
        return (names.index(name) if name in names else len(names), name)

    def cells(self) -> list[Cell]:
        """Every cell that anything is known about."""
        known = {item.cell for item in self.outcomes} | {item.cell for item in self.comparisons}
        known |= {item.cell for item in self.trainings} | {item.cell for item in self.timings}
        return sorted(known, key=self.order)

    def models(self) -> list[str]:
        """Every model, in the order of the registry."""
        found = {cell.model for cell in self.cells()} | {program.model for program in self.programs}
        return self.ordered(found)

    def ordered(self, names: set[str]) -> list[str]:
        """`names` in the order of the registry, unknown ones last by name."""
        return [name for name in self.titles if name in names] + sorted(names - set(self.titles))


def load(paths: Sequence[Path], results: Path = RESULTS) -> Evidence:
    """The runs in `paths`, or the newest one of `results`. Raises records.RecordError."""
    return gather([records.load(path) for path in paths or [records.latest(results)]], kept())


def kept() -> Run | None:
    """What came with the checkout. Raises records.RecordError."""
    return records.load(UPGRADES) if UPGRADES.is_file() else None


def gather(runs: Sequence[Run], kept: Run | None = None) -> Evidence:
    """Put runs together, oldest first; a program that appears in several is taken from the newest.

    Where none ran on other releases, `kept` says what did.
    """
    ordered = tuple(sorted(runs, key=lambda run: (run.started, run.id)))
    programs = {(program.model, program.implementation): program for run in ordered for program in run.programs}
    gadgets = {(gadget.name, gadget.implementation): gadget for run in ordered for gadget in run.gadgets}
    return Evidence(
        runs=ordered,
        titles={name: title for run in ordered for name, title in run.titles.items()},
        outcomes=_joined([run.outcomes for run in ordered]),
        comparisons=_joined([run.comparisons for run in ordered]),
        trainings=_joined([run.trainings for run in ordered]),
        timings=_joined([_apart(run) for run in ordered]),
        services=_joined([run.services for run in ordered]),
        programs=tuple(programs.values()),
        gadgets=tuple(gadgets.values()),
        operations=tuple({(i.cell, i.what): i for run in ordered for i in run.operations}.values()),
        changes=tuple({(i.model, i.before, i.after): i for run in ordered for i in run.changes}.values()),
        **_upgrades(ordered, kept),
    )


def _upgrades(runs: Sequence[Run], kept: Run | None) -> dict[str, Any]:
    """What the newest run on other releases found, and where."""
    run = next((run for run in (*reversed(runs), kept) if run and run.upgrades), None)
    if run is None:
        return {"upgrades": (), "upgraded": ""}
    return {"upgrades": tuple(run.upgrades), "upgraded": f"{run.started[:10]}, {run.environment.cpu}"}


def _joined(lists: Sequence[Sequence[T]]) -> tuple[T, ...]:
    return tuple(item for items in lists for item in items)


def _apart(run: Run) -> list[Timing]:
    """Timings of one run; no ratio is ever taken between two runs, so their groups get the run's name."""
    return [replace(timing, group=f"{run.id} {timing.group}") for timing in run.timings]
