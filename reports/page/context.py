"""Every name that the templates of the page know, with its type."""

from __future__ import annotations

from typing import Any, TypedDict

from reports import answer, claims, questions
from reports.evidence.companion_files import Proofs
from reports.evidence.gate_file import Compared
from reports.evidence.load import Evidence
from reports.findings import Finding, Severity
from reports.sections import (
    campaign,
    code,
    costs,
    crossover,
    engines,
    equivalence,
    gadgets,
    gpu,
    heritage,
    history,
    port,
    run,
    speed,
    training,
    trust,
    two_runs,
)
from reports.verdicts import Verdict
from suites.records.run import Run

Found = list[tuple[Run, Finding]]


class Trusted(TypedDict):
    """What lies beside the runs: the gate, its error rates, injected bugs, controls, ports, a GPU, a campaign."""

    proofs: Proofs
    gpu: gpu.Shown | None
    campaign: campaign.Shown | None
    gate: list[tuple[Compared, Verdict]]
    gate_verdicts: dict[str, Verdict]
    changed: list[tuple[str, str, str]]
    found_verdict: Verdict
    board: trust.Scoreboard | None
    published: list[port.Pair]
    slips: list[port.Slip]
    control: Verdict
    agreement: trust.Trajectories | None
    failed_verdict: Verdict
    none_verdict: Verdict
    target_verdicts: dict[bool | None, Verdict]


class Words(TypedDict):
    """What is the same on every page: words, signs and constants that the text names."""

    history: tuple[tuple[str, str], ...]
    severities: dict[Severity, Verdict]
    legend: tuple[Verdict, ...]
    batches: tuple[int, ...]
    whats: dict[str, str]
    confidence: float
    pair_verdicts: tuple[Verdict, ...]
    terms: dict[str, str]
    again: str
    usual: str
    options_of: dict[str, str]
    same_line: float
    shifts: Any  # the module of change points, whose constants the text names
    moves: int
    least_shift: float
    data: str


class Written(TypedDict):
    """The programs: their code, features, and what they ask of an engine."""

    code: list[code.Model]
    knowledge: code.Knowledge
    gadgets: gadgets.Gadgets
    operations: list[engines.Count]
    counted: list[str]
    ports: list[engines.Port]
    releases: list[engines.Alike]
    section_names: list[str]
    most: int


class Priced(TypedDict):
    """The law of cost, and from which batch on a cheaper call no longer matters."""

    costs: costs.Report
    crossover: list[crossover.Row]
    largest_batch: int


class Content(Words, Written, Priced, Trusted, heritage.Context):
    """Everything that the templates show; `comparable` is known when the room for their facts is."""

    evidence: Evidence
    runs: tuple[Run, ...]
    sections: list[tuple[str, str]]
    claims: list[claims.Claim]
    answer: list[answer.Reason]
    banner: list[answer.Warned]
    asked: list[questions.Answer]
    panels: list[answer.Panel]
    findings: Found
    matrix: equivalence.Matrix
    training: training.Report
    speed: speed.Report
    past: history.History | None
    workers: run.Workers
    pair: two_runs.Pair | None
    ways: list[speed.Reference]
    comparable: list[Run]
