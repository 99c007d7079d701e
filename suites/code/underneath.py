"""What is underneath an API: the operations that its step and its prediction ask of the engine."""

from __future__ import annotations

from typing import Any

from suites.records.run import Cell, Operations
from suites.runner.workers import Arrays

WHATS: tuple[Any, ...] = ("train_step", "predict")


def operations(cell: Cell, found: Arrays) -> list[Operations]:
    """The records of what the stage `operations` found of `cell`."""
    return [_one(cell, what, found) for what in WHATS if f"{what}/total" in found]


def _one(cell: Cell, what: Any, found: Arrays) -> Operations:
    return Operations(
        cell=cell,
        what=what,
        counts=_below(found, f"{what}/counts/"),
        total=int(found[f"{what}/total"]),
        foreign=list(_below(found, f"{what}/foreign/")),
        retraces=int(found[f"{what}/retraces"]),
    )


def _below(found: Arrays, prefix: str) -> dict[str, int]:
    return {name[len(prefix) :]: int(number) for name, number in found.items() if name.startswith(prefix)}


def only(mine: Operations, other: Operations) -> dict[str, int]:
    """The operations of `mine` that `other` has not, and how often they occur."""
    return {name: number for name, number in mine.counts.items() if name not in other.counts}
