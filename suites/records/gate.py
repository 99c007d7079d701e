"""What a gate run recorded, before anybody judges it: rounds, counts and differences of two revisions, in one file."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass as validated

from suites.records import run as records
from suites.records.cells import STRICT, Cell, Float
from suites.records.files import Kind
from suites.records.run import Environment

NAME = "duels.json"
Role = Literal["gate", "twin", "canary"]
SideName = Literal["base", "head"]


@validated(frozen=True, config=STRICT)
class Side:
    """A revision as it was measured."""

    revision: str
    commit: str
    dirty: bool
    python: str
    versions: dict[str, str]


@validated(frozen=True, config=STRICT)
class Contest:
    """Rounds of head against base, see `paired_rounds.Duel`: seconds of two units a round, and of a whole block.

    A unit is `base_calls` or `head_calls`. A twin is base against base; a canary is base against base with more calls.
    """

    cell: Cell
    what: Literal["train_step", "predict"]
    role: Role
    base_calls: int
    head_calls: int
    base: list[Float]
    head: list[Float]
    base_whole: list[Float]
    head_whole: list[Float]
    seconds: Float


@validated(frozen=True, config=STRICT)
class Count:
    """A number that repeats exactly; None: that side does not tell. `detail` says what came or went."""

    cell: Cell
    name: str
    base: int | None
    head: int | None
    detail: str = ""


@validated(frozen=True, config=STRICT)
class Difference:
    """A tensor in which one side departs from the oracle by more than rounding allows."""

    cell: Cell
    side: SideName
    phase: str
    tensor: str
    disagreement: Float
    bound: Float


@validated(frozen=True, config=STRICT)
class Failure:
    """A side that did not do what it was asked for."""

    cell: Cell
    side: SideName | Literal["either"]
    stage: Literal["speed", "counts", "equivalence"]
    reason: str


@validated(config=STRICT)
class Duels:
    """One run: both sides, the cells that each has, and everything measured of those that both have."""

    started: str
    environment: Environment
    base: Side
    head: Side
    asked: dict[str, str]
    vanished: list[Cell] = field(default_factory=list)
    new: list[Cell] = field(default_factory=list)
    skipped: dict[str, list[Cell]] = field(default_factory=dict)
    compared: list[Cell] = field(default_factory=list)
    contests: list[Contest] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    load: list[list[Float]] = field(default_factory=list)
    fixed_addresses: bool = True
    finished: str = ""


KIND = Kind("triptych-duels", 2, "duels", TypeAdapter(Duels), "what `triptych gate` records")


def save(duels: Duels, folder: Path) -> Path:
    """Write `folder/duels.json`, whole or not at all."""
    return records.write(folder / NAME, KIND.document(duels))


def load(path: Path) -> Duels:
    """The run in `path`. Raises RecordError where it is missing, truncated or something else."""
    return KIND.load(path)
