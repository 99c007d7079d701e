"""JSON schemas of the files in results/, from the classes that write and read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from reports.evidence.gate_file import Compared, Counted
from reports.findings import Finding
from suites.records.gate import Duels, Side
from suites.records.run import Environment, Run


@dataclass
class GateFile:
    """results/gate.json: a verdict, and what it rests on."""

    format: Literal["triptych-gate"]
    version: Literal[1]
    started: str
    finished: str
    exit: Literal[0, 1, 2]
    verdict: str
    base: Side
    head: Side
    environment: Environment
    load: dict[str, list[float]]
    settings: dict[str, Any]
    comparisons: list[Compared]
    counts: list[Counted]
    findings: list[Finding]


@dataclass
class RunFile:
    """results/<run>.json: everything that one bench recorded."""

    format: Literal["triptych-run"]
    version: Literal[1]
    run: Run


@dataclass
class DuelsFile:
    """results/duels.json: the raw rounds of a gate."""

    format: Literal["triptych-duels"]
    version: Literal[2]
    duels: Duels


@dataclass
class PortSide:
    """One model of a comparison."""

    path: str
    api: str
    backend: str


@dataclass
class PortProof:
    """What the checker showed of itself in this run, see `suites.port.comparison.Proof`."""

    same: bool
    neutral: bool
    injected: str
    found: bool
    located: bool
    holds: bool


@dataclass
class PortDifference:
    """The worst element of a tensor that differs; a number that is not finite is its name as text."""

    tensor: str
    index: list[int] | None
    a: float | str
    b: float | str
    relative: float | str
    bound: float | str
    shapes: list[list[int]]


@dataclass
class PortFinding:
    """One difference that does not follow from another one; see `triptych.comparison.Finding`."""

    phase: str
    place_a: str
    place_b: str
    line_a: str
    line_b: str
    signature: str
    released: str
    words: str
    recognised: bool
    a: str
    b: str
    template: str
    difference: PortDifference | None


@dataclass
class LowFinding:
    """What the type of `--dtype` does to a side; see `suites.port.low.findings.LowFinding`."""

    kind: Literal["not_finite", "leaves", "coarser"]
    side: Literal["A", "B"]
    place: str
    line: str
    signature: str
    words: str
    error: float | str
    bound: float | str
    other: float
    wrong: bool


@dataclass
class LowOutput:
    """How far an output is from the side's float64 pass, relative, and how far rounding may take it."""

    error: float | str
    bound: float | str
    missing: int


@dataclass
class LowLayer:
    """The value of a layer that takes most of its bound, and the types that it is held in."""

    operation: str
    line: str
    types: list[str]
    error: float | str
    bound: float | str


@dataclass
class LowSide:
    """One side in the type of `--dtype`; `refused` says why it does not run there."""

    refused: str
    outputs: dict[str, LowOutput]
    layers: dict[str, LowLayer]


@dataclass
class LowPrecision:
    """Both sides in the type of `--dtype`."""

    dtype: Literal["float32", "bfloat16", "float16"]
    verdict: Literal["SAME", "SAME UP TO", "DIFFERENT", "UNDECIDED"]
    agree: bool
    findings: list[LowFinding]
    sides: dict[Literal["a", "b"], LowSide]


@dataclass
class PortFile:
    """What `triptych port --json FILE` writes, and `triptych --json port` gives as its result."""

    version: Literal[2]
    verdict: Literal["SAME", "SAME UP TO", "DIFFERENT", "UNDECIDED"]
    exit: Literal[0, 1]
    a: PortSide
    b: PortSide
    compared: int
    worst_share_of_bound: float | str
    links: list[tuple[str, str]]
    proof: PortProof
    notes: list[str]
    findings: list[PortFinding]
    low_precision: LowPrecision | None


FILES = {"port": PortFile, "run": RunFile, "duels": DuelsFile, "gate": GateFile}


def schemas() -> dict[str, Any]:
    """The schema of each file, by its name."""
    return {name: TypeAdapter(kind).json_schema() for name, kind in FILES.items()}
