"""How the ratios moved over stored runs of one setting, with change points; what can't be compared is kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from reports import formatting
from reports.drawing import sparklines
from reports.evidence.load import Evidence, setting
from reports.sections import speed
from reports.sections.speed import DEFAULT, Reference
from reports.statistics import change_points
from reports.statistics.ratios import Ratio, median, paired_ratio
from suites.records.run import Cell, Run, Timing

Key = tuple[Cell, str, int, int]
DRAWN = 10  # series that are drawn though they did not change


@dataclass(frozen=True)
class Shift:
    """A change point: the first run of the new level, both levels, and how seldom chance makes such a shift."""

    run: Run
    before: float
    after: float
    chance: float

    @property
    def ratio(self) -> float:
        return self.after / self.before


@dataclass(frozen=True)
class Series:
    """One call of one cell over the runs that timed it: the median ratio to the reference within each of them."""

    cell: Cell
    what: str
    batch: int
    threads: int
    runs: list[Run]
    values: list[float]
    moves: list[Shift]
    plot: sparklines.Spark


@dataclass(frozen=True)
class Setting:
    """Runs on one machine with the same versions, oldest first, and every series that two of them have."""

    runs: list[Run]
    series: list[Series]

    @property
    def drawn(self) -> list[Series]:
        """Every series that changed level, and others up to DRAWN."""
        return [it for at, it in enumerate(self.series) if it.moves or at < DRAWN]

    @property
    def rest(self) -> dict[str, list[Series]]:
        """The other series, by call."""
        found: dict[str, list[Series]] = {}
        for it in self.series[len(self.drawn) :]:
            call = f"{formatting.WHATS[it.what]}, batch {it.batch}, {formatting.count(it.threads, 'thread')}"
            found.setdefault(call, []).append(it)
        return found


@dataclass(frozen=True)
class History:
    """`settings` with at least two runs; `alone` are the runs that no other one can be compared with, and why."""

    reference: Reference
    settings: list[Setting]
    alone: list[tuple[Run, str]]
    fewest: int


Ratios = dict[str, dict[Key, Ratio]]


def history(evidence: Evidence, found: Ratios, reference: Reference = DEFAULT) -> History:
    """The stored runs by setting, from the `ratios` of each run."""
    groups: dict[Any, list[Run]] = {}
    for run in evidence.stored:
        groups.setdefault(setting(run), []).append(run)
    several = [runs for runs in groups.values() if len(runs) > 1]
    most = max(several or groups.values(), key=len, default=[])
    alone = [(runs[0], "; ".join(differences(most[-1], runs[0]))) for runs in groups.values() if runs is not most]
    settings = [Setting(runs, _series(runs, found, evidence, reference)) for runs in several]
    return History(
        reference, settings, [pair for pair in alone if len(groups[setting(pair[0])]) == 1], change_points.fewest()
    )


def differences(one: Run, other: Run) -> list[str]:
    """Why times of two runs can't be compared, a sentence for each reason; none where they can."""
    a, b = one.environment, other.environment
    names = (("processor", "cpu"), ("cores", "cores"), ("GPU", "gpu"), ("Python", "python"))
    pairs = [(name, getattr(a, field) or "none", getattr(b, field) or "none") for name, field in names]
    for package in sorted({*a.packages, *b.packages}):
        pairs.append((package, a.packages.get(package, "none"), b.packages.get(package, "none")))
    return [f"{name} {x} and {y}" for name, x, y in pairs if x != y]


def ratios(evidence: Evidence, reference: Reference = DEFAULT) -> Ratios:
    """The ratios of each stored run, by its id."""
    return {run.id: _ratios(run, reference) for run in evidence.stored}


def _ratios(run: Run, reference: Reference) -> dict[Key, Ratio]:
    """The ratio to the reference of everything that `run` timed in the same rounds as it."""
    groups: dict[tuple[Any, ...], list[Timing]] = {}
    for timing in run.timings:
        if timing.seconds:
            groups.setdefault(speed.work(timing), []).append(timing)
    found: dict[Key, Ratio] = {}
    for arms in groups.values():
        base = speed.base(arms[0], arms, reference)
        for arm in arms if base else ():
            if ratio := paired_ratio(speed.per_call(arm), speed.per_call(base or arm)):
                found[arm.cell, arm.what, arm.batch_size, arm.threads] = ratio
    return found


def _series(runs: list[Run], ratios: Ratios, evidence: Evidence, reference: Reference) -> list[Series]:
    """Every series; those that changed first, then in the order of the page."""
    found: dict[Key, list[tuple[Run, float]]] = {}
    for run in runs:
        for key, ratio in ratios[run.id].items():
            if (key[0].implementation, key[0].backend) != reference:
                found.setdefault(key, []).append((run, ratio.value))
    whats, models = list(formatting.WHATS), evidence.models()
    made = [_one(key, points) for key, points in found.items() if len(points) > 1]

    def place(it: Series) -> tuple[Any, ...]:
        return (not it.moves, whats.index(it.what), models.index(it.cell.model), evidence.order(it.cell))

    return sorted(made, key=place)


def _one(key: Key, points: list[tuple[Run, float]]) -> Series:
    runs, values = [run for run, _ in points], [value for _, value in points]
    edges = change_points.changes(values)
    starts = [0, *(at for at, _ in edges), len(values)]
    levels = [median(values[start:stop]) for start, stop in pairwise(starts)]
    moves = [Shift(runs[at], *pair, chance) for (at, chance), pair in zip(edges, pairwise(levels), strict=True)]
    return Series(*key, runs, values, moves, sparklines.spark(values, [at for at, _ in edges]))
