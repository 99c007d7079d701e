"""What is known of the differences of engines of before: rows of the catalogue, by engine, model, layer and phase.

A row's `cells` say where it shows in our models: `implementation`, `backends` and what of `models`, `layers`, `phases`,
`dtypes` and `stages` it is about (none named: any). A row that refuses is what an engine can't do at all.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from impls.known_differences import DIFFERENCES, REFUSAL, Difference
from suites.equivalence.localise import Location
from suites.records.run import Cell


@dataclass(frozen=True)
class Cause:
    """Why `implementation` on one of `backends` departs in `phases` of `layers`; an empty tuple means any."""

    known: Difference
    implementation: str
    backends: tuple[str, ...]
    models: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return self.known.text

    @property
    def programs(self) -> tuple[str, ...]:
        return self.known.programs_of("heritage")

    def explains(self, cell: Cell, location: Location) -> bool:
        """Whether it says why `cell` departs there."""
        return self._of(cell) and _in(location.layer, self.layers) and _in(location.phase, self.phases)

    def _of(self, cell: Cell) -> bool:
        own = cell.implementation == self.implementation and cell.backend in self.backends
        return own and _in(cell.model, self.models) and _in(cell.dtype, self.dtypes)


@dataclass(frozen=True)
class Lack:
    """What `implementation` on one of `backends` can't do at all."""

    known: Difference
    implementation: str
    backends: tuple[str, ...]
    models: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        return self.known.cause

    @property
    def programs(self) -> tuple[str, ...]:
        return self.known.programs_of("heritage")

    def covers(self, cell: Cell, stage: str) -> bool:
        """Whether it says why a stage of `cell` does not run."""
        own = cell.implementation == self.implementation and cell.backend in self.backends
        here = _in(cell.model, self.models) and _in(cell.dtype, self.dtypes)
        return own and here and _in(stage, self.stages)


def _in(name: str, names: tuple[str, ...]) -> bool:
    return not names or name in names


@functools.cache
def table() -> tuple[tuple[Cause, ...], tuple[Lack, ...]]:
    """The causes and the lacks."""
    causes, lacks = [], []
    for known in DIFFERENCES.values():
        for cell in known.cells:
            if known.kind == REFUSAL:
                lacks.append(Lack(known, **_frozen(cell)))
            else:
                causes.append(Cause(known, **_frozen(cell)))
    return tuple(causes), tuple(lacks)


def _frozen(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}


def cause(cell: Cell, location: Location) -> Cause | None:
    """The first known cause of what departs at `location`."""
    return next((item for item in table()[0] if item.explains(cell, location)), None)


def lack(cell: Cell, stage: str) -> Lack | None:
    """Why a stage of `cell` is known not to run."""
    return next((item for item in table()[1] if item.covers(cell, stage)), None)
