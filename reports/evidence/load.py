"""Reads result files and puts several runs together without comparing what can't be compared."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from reports import formatting
from reports.evidence.companion_files import Proofs, proofs
from suites.records import run as records
from suites.records.run import (
    Cell,
    Change,
    Comparison,
    Gadget,
    Operations,
    Outcome,
    Planned,
    Program,
    Run,
    Service,
    Timing,
    Training,
    Upgrade,
)

RESULTS = Path("results")
MEASURED = Path(__file__).parents[1] / "data" / "measured.json"  # of a full run, by `python -m reports.evidence.keep`
LATER = ("gadgets", "operations")  # what a quick run leaves out, and what no machine's load can change
UPGRADES = Path(__file__).parents[1] / "data" / "upgrade.json"  # of `nox -s upgrade`, for runs that have none

T = TypeVar("T")
Key = Callable[[Any], Any]


@dataclass(frozen=True)
class Evidence:
    """What the loaded runs recorded: of each cell on each setting what its newest run says.

    `stored` are all runs, oldest first, `runs` those of them from which something is shown.
    """

    stored: tuple[Run, ...]
    runs: tuple[Run, ...]
    titles: dict[str, str]
    planned: tuple[Planned, ...]
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
    kept: dict[str, str] = field(default_factory=dict)  # of what the runs have not measured: when it was, and where
    proofs: Proofs = field(default_factory=Proofs)

    def kept_since(self, name: str) -> str:
        """` Measured on ...` where `name` is not from these runs, else nothing."""
        return f" Measured on {self.kept[name]}." if name in self.kept else ""

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
    """The runs in `paths`, each a file or a folder of them, or the newest one of `results`. Raises RecordError."""
    chosen = paths or [records.latest(results)]
    files = list(itertools.chain.from_iterable(map(_files, chosen)))
    found = replace(gather([records.load(file) for file in files], kept(results)), proofs=proofs(results))
    return completed(found, results)


def completed(evidence: Evidence, results: Path = RESULTS) -> Evidence:
    """`evidence` with what only a full run measures from the kept one, where the runs have nothing of it."""
    place = next((path for path in (results / MEASURED.name, MEASURED) if path.is_file()), None)
    if place is None:
        return evidence
    run = records.load(place)
    parts: dict[str, Any] = {name: tuple(getattr(run, name)) for name in LATER if not getattr(evidence, name)}
    since = f"{formatting.when(run.started)}, {run.environment.cpu}"
    titles = {**run.titles, **evidence.titles}
    return replace(evidence, **parts, titles=titles, kept={name: since for name, items in parts.items() if items})


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    records.latest(path)  # says so where there is none
    return sorted(path.glob("[0-9]*.json"))


def kept(results: Path = RESULTS) -> Run | None:
    """The run on other releases in `results`, else what came with Triptych. Raises records.RecordError."""
    places = (results / UPGRADES.name, UPGRADES)
    return next((records.load(path) for path in places if path.is_file()), None)


def setting(run: Run) -> tuple[Any, ...]:
    """What two runs have to share for their times to be compared: the machine and every version."""
    env = run.environment
    return (env.cpu, env.cores, env.gpu, env.python, tuple(sorted(env.packages.items())))


def gather(runs: Sequence[Run], kept: Run | None = None) -> Evidence:
    """Put runs together, oldest first; what several runs of one setting recorded is taken from the newest of them.

    Where none ran on other releases, `kept` says what did.
    """
    ordered = tuple({run.id: run for run in sorted(runs, key=lambda run: (run.started, run.id))}.values())
    own = {run.id: setting(run) for run in ordered}
    parts = {name: _newest(ordered, own, name, key) for name, key in KEYS.items()}
    timings = _timings(ordered, own)
    shown = {ordered[-1].id} if ordered else set()
    joined: dict[str, tuple[Any, ...]] = {}
    for name, part in {**parts, "timings": timings}.items():
        shown |= {run for run, items in part.items() if items}
        joined[name] = tuple(item for run in ordered for item in part.get(run.id, ()))
    programs = {(program.model, program.implementation): program for run in ordered for program in run.programs}
    gadgets = {(gadget.name, gadget.implementation): gadget for run in ordered for gadget in run.gadgets}
    return Evidence(
        stored=ordered,
        runs=tuple(run for run in ordered if run.id in shown),
        titles={name: title for run in ordered for name, title in run.titles.items()},
        planned=joined["planned"],
        outcomes=joined["outcomes"],
        comparisons=joined["comparisons"],
        trainings=joined["trainings"],
        timings=joined["timings"],
        services=joined["services"],
        programs=tuple(programs.values()),
        gadgets=tuple(gadgets.values()),
        operations=tuple({(i.cell, i.what): i for run in ordered for i in run.operations}.values()),
        changes=tuple({(i.model, i.before, i.after): i for run in ordered for i in run.changes}.values()),
        **_upgrades(ordered, kept),
    )


KEYS: dict[str, Key] = {
    "planned": attrgetter("cell", "stage"),
    "outcomes": attrgetter("cell", "stage"),
    "comparisons": attrgetter("cell"),
    "trainings": attrgetter("cell"),
    "services": records.role,
}


def _newest(runs: Sequence[Run], own: dict[str, Any], name: str, key: Key) -> dict[str, list[Any]]:
    """What each run, by its id, has to show: what no newer run of its setting has again."""
    newest = {(own[run.id], key(item)): run.id for run in runs for item in getattr(run, name)}
    found = {}
    for run in runs:
        found[run.id] = [item for item in getattr(run, name) if newest[own[run.id], key(item)] == run.id]
    return found


def _timings(runs: Sequence[Run], own: dict[str, Any]) -> dict[str, list[Timing]]:
    """Of each group of arms the run of the setting that timed most of them, the newest of several.

    No ratio is ever taken between two runs, so their groups get the run's name.
    """
    homes: dict[tuple[Any, str], tuple[int, str, str]] = {}
    for run in runs:
        for group, arms in Counter(timing.group for timing in run.timings).items():
            key = (own[run.id], group)
            homes[key] = max(homes.get(key, (0, "", "")), (arms, run.started, run.id))
    kept = {(name, group) for (_, group), (_, _, name) in homes.items()}
    found = {}
    for run in runs:
        own_timings = [timing for timing in run.timings if (run.id, timing.group) in kept]
        found[run.id] = [replace(timing, group=f"{run.id} {timing.group}") for timing in own_timings]
    return found


def _upgrades(runs: Sequence[Run], kept: Run | None) -> dict[str, Any]:
    """What the newest run on other releases found, and where."""
    run = next((run for run in (*reversed(runs), kept) if run and run.upgrades), None)
    if run is None:
        return {"upgrades": (), "upgraded": ""}
    return {"upgrades": tuple(run.upgrades), "upgraded": f"{run.started[:10]}, {run.environment.cpu}"}
