"""What is underneath an API, what another engine costs, and what another release of the engine costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from reports import formatting, verdicts
from reports.evidence.load import Evidence
from reports.verdicts import Verdict
from suites.records.run import Change, Operations, Upgrade

WHATS: tuple[Literal["train_step", "predict"], ...] = ("train_step", "predict")
FREE = Verdict("run unchanged", "check", "good", 1)
EDITED = Verdict("run after changes", "diamond", "warn", 3)
OTHER = Verdict("compute other numbers", "cross", "bad", 6)
BROKEN = Verdict("fail", "triangle", "bad", 5)


@dataclass(frozen=True)
class Count:
    """One way on one engine: operations of each model's training step and prediction, None where not counted."""

    implementation: str
    backend: str
    panel: str
    totals: list[int | None]
    types: int
    own: list[str]


def counts(evidence: Evidence) -> list[Count]:
    """A row for each way and engine, those of one engine next to each other."""
    ways = {(item.cell.backend, item.cell.implementation) for item in evidence.operations}
    names = evidence.ordered({name for way in ways for name in way})
    ordered = sorted(ways, key=lambda way: (names.index(way[0]), names.index(way[1])))
    return [_count(evidence, *way) for way in ordered]


def _count(evidence: Evidence, backend: str, implementation: str) -> Count:
    found = [i for i in evidence.operations if (i.cell.backend, i.cell.implementation) == (backend, implementation)]
    by_key = {(item.cell.model, item.what): item.total for item in found}
    totals = [by_key.get((model, what)) for model in counted(evidence) for what in WHATS]
    types = {name for item in found for name in item.counts}
    return Count(implementation, backend, formatting.panel(implementation), totals, len(types), own(found))


def counted(evidence: Evidence) -> list[str]:
    """The models whose operations are known."""
    return evidence.ordered({item.cell.model for item in evidence.operations})


def own(found: Iterable[Operations]) -> list[str]:
    """Operations that the engine itself does not have."""
    return sorted({name for item in found for name in item.foreign})


def added(evidence: Evidence, implementation: str, reference: str, backend: str) -> list[str]:
    """Operations of a training step that one way uses and the other does not, for any model."""
    used: dict[str, set[str]] = {implementation: set(), reference: set()}
    for item in evidence.operations:
        if item.what == "train_step" and item.cell.backend == backend and item.cell.implementation in used:
            used[item.cell.implementation] |= set(item.counts)
    return sorted(used[implementation] - used[reference])


def shares(evidence: Evidence, implementation: str, reference: str, backend: str) -> list[float]:
    """Operations of each model's training step against those of another way on the same engine."""
    total = {
        (item.cell.model, item.cell.implementation): item.total
        for item in evidence.operations
        if item.what == "train_step" and item.cell.backend == backend
    }
    pairs = [(total.get((model, implementation)), total.get((model, reference))) for model in counted(evidence)]
    return [mine / other for mine, other in pairs if mine is not None and other]


@dataclass(frozen=True)
class Port:
    """What another engine costs one way, with the worst disagreement of the program that then runs."""

    change: Change
    panel: str
    share: float
    verdict: Verdict
    disagreement: float | None


def ports(evidence: Evidence) -> list[Port]:
    """Every change of engine, in the order of the record."""
    return [_port(evidence, change) for change in evidence.changes]


def _port(evidence: Evidence, change: Change) -> Port:
    found = [
        item
        for item in evidence.comparisons
        if (item.cell.model, item.cell.implementation, item.cell.backend, item.cell.dtype)
        == (change.model, change.after, change.engine, "float64")
    ]
    deciding, worst = verdicts.deciding(found), verdicts.largest(found)
    verdict = verdicts.of(deciding) if deciding else verdicts.NONE
    share = change.kept / change.lines if change.lines else 1.0
    return Port(change, formatting.panel(change.before), share, verdict, worst.disagreement if worst else None)


def on_release(upgrade: Upgrade) -> Verdict:
    """What became of a program on another release."""
    if upgrade.status == "equal":
        return FREE
    if upgrade.patched == "equal":
        return EDITED
    return OTHER if "different" in (upgrade.status, upgrade.patched) else BROKEN


@dataclass(frozen=True)
class Alike:
    """Programs of one way that fare alike on another release; `first` stands for their reasons."""

    first: Upgrade
    models: list[str]
    verdict: Verdict
    needed: str
    disagreement: float | None


def on_releases(evidence: Evidence) -> list[tuple[Upgrade, Verdict, str]]:
    """Every program on every other release: its verdict, and what has to change."""
    return [(item, on_release(item), _needed(item)) for item in evidence.upgrades]


def alike(evidence: Evidence) -> list[Alike]:
    """Every way on every other release, the models that fare alike in one row."""
    groups: dict[tuple[Any, ...], list[Upgrade]] = {}
    for item, verdict, needed in on_releases(evidence):
        groups.setdefault((item.release, item.implementation, verdict, needed, item.cause), []).append(item)
    return [_alike(items) for items in groups.values()]


def _alike(items: list[Upgrade]) -> Alike:
    first, apart = items[0], [item.disagreement for item in items if item.disagreement is not None]
    models = [item.model for item in items]
    return Alike(first, models, on_release(first), _needed(first), max(apart, default=None))


def _needed(upgrade: Upgrade) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in upgrade.lines.items())


def edits(upgrades: Iterable[Upgrade], reason: str) -> int:
    """Lines that have to change for one reason; those of the shim itself count once for each release."""
    if reason.startswith("shim"):
        return sum({item.release: item.lines.get(reason, 0) for item in upgrades}.values())
    return sum(item.lines.get(reason, 0) for item in upgrades)


def outcomes(upgrades: Iterable[Upgrade]) -> str:
    """`8 unchanged and 4 after changes`."""
    found = Counter(on_release(item) for item in upgrades)
    return formatting.listed([f"{found[verdict]} {verdict.word}" for verdict in sorted(found, key=lambda v: v.rank)])
