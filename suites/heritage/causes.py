"""What is known of the differences: `findings.toml`, a table of causes by engine, model, layer and phase."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suites.equivalence.localise import Location
from suites.records.run import Cell

TABLE = Path(__file__).with_name("findings.toml")


@dataclass(frozen=True)
class Cause:
    """Why `implementation` on one of `backends` departs in `phases` of `layers`; an empty tuple means any."""

    implementation: str
    backends: tuple[str, ...]
    released: str
    where: str
    cause: str
    models: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return f"{self.released}, {self.where}: {self.cause}"

    def explains(self, cell: Cell, location: Location) -> bool:
        """Whether it says why `cell` departs there."""
        return self._of(cell) and _in(location.layer, self.layers) and _in(location.phase, self.phases)

    def _of(self, cell: Cell) -> bool:
        own = cell.implementation == self.implementation and cell.backend in self.backends
        return own and _in(cell.model, self.models) and _in(cell.dtype, self.dtypes)


@dataclass(frozen=True)
class Lack:
    """What `implementation` on one of `backends` can't do at all."""

    implementation: str
    backends: tuple[str, ...]
    reason: str
    models: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    def covers(self, cell: Cell, stage: str) -> bool:
        """Whether it says why a stage of `cell` does not run."""
        own = cell.implementation == self.implementation and cell.backend in self.backends
        here = _in(cell.model, self.models) and _in(cell.dtype, self.dtypes)
        return own and here and _in(stage, self.stages)


def _in(name: str, names: tuple[str, ...]) -> bool:
    return not names or name in names


@functools.cache
def table(path: Path = TABLE) -> tuple[tuple[Cause, ...], tuple[Lack, ...]]:
    """The causes and the lacks."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    causes = (Cause(**_frozen(item)) for item in content.get("finding", ()))
    return tuple(causes), tuple(Lack(**_frozen(item)) for item in content.get("lack", ()))


def _frozen(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}


def cause(cell: Cell, location: Location) -> Cause | None:
    """The first known cause of what departs at `location`."""
    return next((item for item in table()[0] if item.explains(cell, location)), None)


def lack(cell: Cell, stage: str) -> Lack | None:
    """Why a stage of `cell` is known not to run."""
    return next((item for item in table()[1] if item.covers(cell, stage)), None)
