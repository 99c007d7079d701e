"""The result schema: one JSON file a run, versioned, written atomically, raw values and the full environment.

Suites fill a `Run` and save it; reports load it and judge. Times are seconds, memory is bytes, disagreements are
normwise and relative: ||a - b|| / ||b|| in the Frobenius norm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass as validated

from suites.records.cells import LOOSE, STRICT, Float
from suites.records.cells import Cell as Cell
from suites.records.files import Kind
from suites.records.files import RecordError as RecordError
from suites.records.files import write as write
from suites.records.timings import ColdStart as ColdStart
from suites.records.timings import Control as Control
from suites.records.timings import First as First
from suites.records.timings import Flops as Flops
from suites.records.timings import Latency as Latency
from suites.records.timings import Sweep as Sweep
from suites.records.timings import Timing as Timing

Stage = Literal["start", "equivalence", "training", "operations", "speed"]


@validated(frozen=True, config=STRICT)
class Outcome:
    """How a stage ended for a cell; `reason` says why where it is not ok, in one line, and `details` the rest."""

    cell: Cell
    stage: Stage
    status: Literal["ok", "failed", "skipped"]
    reason: str = ""
    details: str = ""


@validated(frozen=True, config=STRICT)
class Comparison:
    """One tensor of a cell against the same tensor of `reference`.

    `phase` is forward, loss, backward, trajectory, state or slot. `cause` says where the bound comes from, and where
    the cell `departs`, which is to say computes something else on purpose or by a known defect, why it does.
    `bound` None: shown, not bounded.
    """

    cell: Cell
    reference: Cell
    phase: str
    tensor: str
    disagreement: Float
    bound: Float | None
    cause: str = ""
    departs: bool = False


@validated(frozen=True, config=STRICT)
class Training:
    """One program trained to the end on the real data: mean loss of each epoch, metric on the held-out part."""

    cell: Cell
    losses: list[Float]
    metric: Literal["accuracy", "cross_entropy"]
    value: Float
    target: Float
    seconds: Float


@validated(frozen=True, config=STRICT)
class Operations:
    """What one step or prediction asks of its engine, see `impls.worker.operation_counts`.

    `total` leaves out what only hands values on. `foreign` are operations that the engine itself does not have,
    `retraces` how often calls with the same shapes made it trace or compile again.
    """

    cell: Cell
    what: Literal["train_step", "predict"]
    counts: dict[str, int]
    total: int
    foreign: list[str] = field(default_factory=list)
    retraces: int = 0


@validated(frozen=True, config=STRICT)
class Service:
    """A worker as it was: what it imported, on which flags, how long the import took, its peak memory."""

    implementation: str
    backend: str
    mode: str
    device: str
    dtype: str
    import_seconds: Float
    peak_bytes: int
    threads: int
    python: str
    versions: dict[str, str]
    flags: dict[str, str]
    engine: dict[str, Any] = field(default_factory=dict)


def role(service: Service) -> tuple[str | int, ...]:
    """What tells one worker from another."""
    return service.implementation, service.backend, service.mode, service.device, service.dtype, service.threads


@validated(frozen=True, config=STRICT)
class Section:
    """Counts of one section of a program, see `suites.code.counts`, and its place in the source, from 1."""

    name: str
    logical_lines: int
    tokens: int
    first_line: int
    last_line: int


@validated(frozen=True, config=STRICT)
class Function:
    """Counts of one function of a program."""

    name: str
    logical_lines: int
    tokens: int
    complexity: int
    nesting: int
    cognitive: int = 0


@validated(frozen=True, config=STRICT)
class Concept:
    """What a reader has to know to read some programs, see `suites.code.concepts`."""

    name: str
    meaning: str


@validated(frozen=True, config=STRICT)
class Program:
    """One program as it was read: its text, and what it counts by section.

    `concepts`: what a reader has to know, and the evidence of it, see `suites.code.concepts`.
    """

    model: str
    implementation: str
    path: str
    source: str
    logical_lines: int
    tokens: int
    sections: list[Section]
    complexity: int = 0
    nesting: int = 0
    names: list[str] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    cognitive: int = 0
    concepts: dict[str, list[str]] = field(default_factory=dict)


@validated(frozen=True, config=STRICT)
class Gadget:
    """A small comfort in one implementation: what it adds to the base program, and whether it behaves like the others.

    Lines and tokens are counted by `suites.code.gadgets`; `changed_lines` are those of `source`, from 1. `disagreement`
    is the largest one of everything `observed`, in float64, to the first implementation; `equal` None: not run.
    """

    name: str
    title: str
    implementation: str
    backend: str
    path: str
    source: str
    added: int
    removed: int
    changed: int
    tokens: int
    changed_lines: list[int]
    observed: str
    disagreement: Float | None
    equal: bool | None
    reason: str = ""


@validated(frozen=True, config=STRICT)
class Change:
    """What another engine costs one way: `lines` of the program before, how many stay, how many have to be written.

    `after` is the program for the other engine, the same one where only `setting` changes. See `suites.code.changes`.
    """

    model: str
    before: str
    after: str
    engine: str
    lines: int
    kept: int
    written: int
    setting: str = ""


@validated(frozen=True, config=STRICT)
class Upgrade:
    """One program on another release of its engine: what it does there as it is, and what has to change.

    `status` is that of the program as it is: equal to the oracle within `bound`, different or failing. `lines` counts
    what has to change by reason: the framework's API, Python itself, the shim's own backend. `patched` is the status
    with those changes, "" where there are none. `disagreement` is that of the program as it is, else as changed.
    """

    release: str
    python: str
    versions: dict[str, str]
    model: str
    implementation: str
    backend: str
    status: Literal["equal", "different", "fails"]
    reason: str
    lines: dict[str, int]
    patched: Literal["", "equal", "different", "fails"]
    disagreement: Float | None
    bound: Float | None
    cause: str = ""


@validated(frozen=True, config=STRICT)
class Environment:
    """The machine and the tree."""

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    packages: dict[str, str]
    commit: str
    dirty: bool
    gpu: str = ""


@validated(frozen=True, config=STRICT)
class Planned:
    """A stage that the run set out to do for a cell; one that has no outcome in the end is missing."""

    cell: Cell
    stage: Stage


@validated(frozen=True, config=LOOSE)
class Agreement:
    """The worst disagreement of one implementation with the oracle; `what` is "one pass" or an optimizer.

    `departs` says which known departure of a released library is seen here; "" where there is none. Rows of
    agreement.json, which lies beside the runs.
    """

    model: str
    implementation: str
    backend: str
    mode: str
    what: str
    steps: int
    disagreement: Float
    tensor: str
    target: Float
    departs: str

    @property
    def met(self) -> bool:
        return self.disagreement <= self.target


@validated(frozen=True)
class Told:
    """What a program of a story printed in an environment; `ended` False: it did not do what the story says.

    Rows of heritage.json, which lies beside the runs.
    """

    story: str
    title: str
    environment: str
    program: str
    ended: bool
    lines: list[str]


@validated(config=STRICT)
class Run:
    """Everything that one run recorded."""

    id: str
    started: str
    options: dict[str, Any]
    environment: Environment
    titles: dict[str, str] = field(default_factory=dict)
    finished: str = ""
    planned: list[Planned] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    cold_starts: list[ColdStart] = field(default_factory=list)
    flops: list[Flops] = field(default_factory=list)
    operations: list[Operations] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    upgrades: list[Upgrade] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)
    concepts: list[Concept] = field(default_factory=list)
    gadgets: list[Gadget] = field(default_factory=list)


KIND = Kind("triptych-run", 1, "run", TypeAdapter(Run), "a result file of Triptych")


def document(run: Run) -> str:
    """The text of the file that holds `run`, on one line."""
    return KIND.document(run)


def save(run: Run, folder: Path) -> Path:
    """Write `run` to `folder/<id>.json`, see `write`."""
    return write(folder / f"{run.id}.json", document(run) + "\n")


def load(path: Path) -> Run:
    """The run in `path`. Raises RecordError where the file is truncated, foreign or of another version."""
    return KIND.load(path)


def latest(folder: Path) -> Path:
    """The newest result file in `folder`, which their names tell, for they start with the time; or RecordError."""
    files: Iterable[Path] = folder.glob("[0-9]*.json") if folder.is_dir() else ()
    newest = max(files, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        raise RecordError(f"{folder}: no result file; `triptych bench` writes one")
    return newest
