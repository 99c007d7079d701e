"""What a gate run of a user's project recorded, before anybody judges it: one file, saved after every test."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass as validated

from suites.records import run as records
from suites.records.cells import STRICT, Float
from suites.records.files import Kind
from suites.records.run import Environment

NAME = "project-duels.json"
INTERRUPTED = "interrupted: what is shown is a part of the run"  # a note of a run
Role = Literal["gate", "repeat", "twin", "canary"]
Status = Literal["measured", "n/a", "failed", "vanished", "new", "skipped", "unfit", "unfinished"]


@validated(frozen=True, config=STRICT)
class Side:
    """A revision as it was measured: its commit, whether it has uncommitted changes, its interpreter and packages."""

    revision: str
    commit: str
    dirty: bool
    python: str
    versions: dict[str, str]


@validated(frozen=True, config=STRICT)
class Outcome:
    """What became of a benchmark; `side` is the one that failed, skipped or lacks it."""

    id: str
    status: Status
    reason: str = ""
    side: str = ""


@validated(frozen=True, config=STRICT)
class Contest:
    """Rounds of head against base: seconds of two units a round, and of a whole block.

    A unit is `base_calls` or `head_calls` times `inner` calls of the user's function. A "repeat" is the comparison of
    the same test in processes that lie elsewhere in memory. `waited` is the share of its blocks' time in which their
    process had no core, `stolen` the share that a hypervisor took of all cores' time; `noise` is how far two blocks of
    the same process in one round are apart.
    """

    test: str
    role: Role
    inner: int
    base_calls: int
    head_calls: int
    base: list[Float]
    head: list[Float]
    base_whole: list[Float]
    head_whole: list[Float]
    seconds: Float
    waited: Float | None = None
    stolen: Float | None = None
    noise: Float | None = None


@validated(config=STRICT)
class ProjectRun:
    """One run. `green`: why nothing had to be measured; `absent`: why base could not be measured at all."""

    started: str
    environment: Environment
    repository: str
    base: Side
    head: Side
    table: dict[str, Any] = field(default_factory=dict)
    green: str = ""
    absent: str = ""
    tests: list[Outcome] = field(default_factory=list)
    contests: list[Contest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    waited_seconds: Float = 0.0
    finished: str = ""

    def repeats_of(self, test: str) -> list[Contest]:
        """The comparisons of a test in other processes, in their order."""
        return [item for item in self.contests if item.role == "repeat" and item.test == test]


KIND = Kind("triptych-project-duels", 1, "run", TypeAdapter(ProjectRun), "what `triptych gate` records of a project")


def save(run: ProjectRun, folder: Path) -> Path:
    """Write the file into `folder`, whole or not at all."""
    return records.write(folder / NAME, KIND.document(run))


def load(path: Path) -> ProjectRun:
    """The run in `path`. Raises RecordError where it is missing, truncated or something else."""
    return KIND.load(path)
