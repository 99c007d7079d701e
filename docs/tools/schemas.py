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


FILES = {"run": RunFile, "duels": DuelsFile, "gate": GateFile}


def schemas() -> dict[str, Any]:
    """The schema of each file, by its name."""
    return {name: TypeAdapter(kind).json_schema() for name, kind in FILES.items()}
