"""What lies beside the runs: the gate's verdicts, its error rates, planted faults, controls, agreement over many steps.

Each is a file that another command writes; one that is not there is not shown, one that is broken is an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from reports.evidence.gate_file import Compared, Counted
from suites.records.campaign import Campaign
from suites.records.cells import LOOSE, Float
from suites.records.gate import Side
from suites.records.gpu import GpuCheck
from suites.records.run import Agreement, RecordError

DATA = Path(__file__).parents[1] / "data"
T = TypeVar("T")


@validated(frozen=True, config=LOOSE)
class Noticed:
    """A finding of the gate."""

    severity: str
    title: str
    detail: str = ""


@validated(frozen=True, config=LOOSE)
class Gate:
    """One run of the gate."""

    verdict: str
    started: str
    base: Side
    head: Side
    comparisons: list[Compared]
    settings: dict[str, Any] = field(default_factory=dict)
    counts: list[Counted] = field(default_factory=list)
    findings: list[Noticed] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)


@validated(frozen=True, config=LOOSE)
class Alarms:
    """Comparisons of identical code, how many of them were called slower, and what that allows the rate to be."""

    comparisons: int
    alarms: int
    inconclusive: Float | None = None
    upper95: Float | None = None


@validated(frozen=True, config=LOOSE)
class Caught:
    """Comparisons with so much more work in head, and how many of them were called slower."""

    comparisons: int
    detected: int


@validated(frozen=True, config=LOOSE)
class Rule:
    """What a decision rule of others would have said of the same samples."""

    aa_natural: Alarms | None = None
    aa_bursts: Alarms | None = None
    power: dict[str, Float | None] = field(default_factory=dict)
    power_bursts: dict[str, Float | None] = field(default_factory=dict)


@validated(frozen=True, config=LOOSE)
class Target:
    """One thing that the gate has to reach."""

    name: str
    target: str
    value: Float | None = None
    met: bool | None = None


@validated(frozen=True, config=LOOSE)
class Calibration:
    """The error rates of the gate, counted."""

    aa_natural: Alarms | None = None
    aa_bursts: Alarms | None = None
    power: dict[str, Float | None] = field(default_factory=dict)
    power_bursts: dict[str, Float | None] = field(default_factory=dict)
    power_counts: dict[str, Caught] = field(default_factory=dict)
    power_bursts_counts: dict[str, Caught] = field(default_factory=dict)
    coverage95: Float | None = None
    half_width_median: Float | None = None
    seconds_per_comparison: Float | None = None
    rivals: dict[str, Rule] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def loads(self) -> list[float]:
        """The least and the largest load average at either end of a run; empty: not known."""
        found = [load for run in self.runs for load in run.get("load", ())]
        return [min(found), max(found)] if found else []

    def rules(self) -> dict[str, Rule]:
        """The gate's own rule, then those of others."""
        return {"this gate": Rule(self.aa_natural, self.aa_bursts, self.power, self.power_bursts), **self.rivals}


@validated(frozen=True, config=LOOSE)
class Planted:
    """One instance of a planted fault and what became of it."""

    fault: str
    title: str
    model: str
    implementation: str
    backend: str
    layer: str
    phase: str
    kind: str
    detected: bool
    found_layer: str | None = None
    found_phase: str | None = None
    skipped: str = ""

    @property
    def placed(self) -> bool:
        return (self.found_layer, self.found_phase) == (self.layer, self.phase)


@validated(frozen=True, config=LOOSE)
class Faults:
    """The scoreboard."""

    rows: list[Planted]
    clean_comparisons: int
    false_alarms: int
    alarms: list[str] = field(default_factory=list)


@validated(frozen=True, config=LOOSE)
class Control:
    """One run of the negative controls; slack is the bound as a multiple of the disagreement."""

    started: str
    comparisons: int
    tensors: int
    false_alarms: int
    minutes: Float = 0.0
    slack_quantiles: dict[str, Float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)


@validated(frozen=True, config=LOOSE)
class Controls:
    """Every run of the negative controls."""

    runs: list[Control]


@validated(frozen=True, config=LOOSE)
class Agreements:
    """All of them; `failed` are the workers that did not end, with their reasons."""

    steps: int
    targets: dict[str, Float]
    rows: list[Agreement]
    failed: list[str]


@validated(frozen=True, config=LOOSE)
class Named:
    """A difference between two builds of a model, in the port checker's words."""

    words: str


@validated(frozen=True, config=LOOSE)
class PublishedPair:
    """Two builds of a published model and what the port checker said of them."""

    a: str
    b: str
    verdict: str
    findings: list[Named] = field(default_factory=list)
    error: str = ""


@validated(frozen=True, config=LOOSE)
class Published:
    """Every pair that was run, by the family of the model."""

    pairs: dict[str, PublishedPair]


@dataclass(frozen=True)
class Proofs:
    """All of them; None where there is no such file."""

    gate: Gate | None = None
    calibration: Calibration | None = None
    faults: Faults | None = None
    controls: Controls | None = None
    agreement: Agreements | None = None
    gpu: GpuCheck | None = None
    campaign: Campaign | None = None
    published: Published | None = None


def proofs(results: Path, kept: Path = DATA) -> Proofs:
    """What lies in `results`, else what came with the checkout. Raises records.RecordError."""
    places = (results, kept)
    return Proofs(
        _read(Gate, "gate.json", (results,)),  # a gate says something about one change only
        _read(Calibration, "calibration.json", places),
        _read(Faults, "faults.json", places),
        _read(Controls, "controls.json", places),
        _read(Agreements, "agreement.json", places),
        _read(GpuCheck, "gpu.json", places),
        _read(Campaign, "campaign.json", places),
        _read(Published, "published.json", places),
    )


def _read(kind: type[T], name: str, places: tuple[Path, ...]) -> T | None:
    path = next((place / name for place in places if (place / name).is_file()), None)
    if path is None:
        return None
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: can't be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise RecordError(f"{path}: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from error
