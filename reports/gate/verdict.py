"""A judged run of the gate, and the exit status that its findings make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reports.evidence.gate_file import Compared, Counted
from reports.findings import Finding
from suites.records.gate import Duels
from suites.records.stopping_rule import Rule

CLEAN, WORSE, UNFIT = 0, 1, 2
Verdict = Literal["slower", "same", "faster", "inconclusive"]
VERDICTS = {CLEAN: "clean", WORSE: "regression", UNFIT: "unfit"}


@dataclass(frozen=True)
class Gate:
    """A judged run."""

    duels: Duels
    rule: Rule
    comparisons: list[Compared]
    counts: list[Counted]
    findings: list[Finding]

    @property
    def exit(self) -> int:
        """The exit status that the findings make."""
        errors = {finding.kind for finding in self.findings if finding.severity == "error"}
        if "unfit" in errors:
            return UNFIT
        return WORSE if errors else CLEAN

    @property
    def verdict(self) -> str:
        return VERDICTS[self.exit]
