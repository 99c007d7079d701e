"""The one word about a port, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from suites.port import precision
from suites.port.bounds import Difference
from suites.port.comparison import Comparison
from suites.port.findings import Finding


class Verdict(Enum):
    """SAME_UP_TO: only what no port can avoid. UNDECIDED: rounding could explain it, or the checker's proof failed."""

    SAME = "SAME"
    SAME_UP_TO = "SAME UP TO"
    DIFFERENT = "DIFFERENT"
    UNDECIDED = "UNDECIDED"


def judge(c: Comparison, findings: Sequence[Finding]) -> Verdict:
    """What the comparison comes to."""
    assert c.proof is not None
    if any(not finding.released for finding in findings):
        return Verdict.DIFFERENT
    if not c.proof.holds:
        return Verdict.UNDECIDED
    if unexplained(c, findings):
        return Verdict.DIFFERENT
    if findings:
        return Verdict.SAME_UP_TO
    return Verdict.UNDECIDED if blind(c) else Verdict.SAME


def unexplained(c: Comparison, findings: Sequence[Finding]) -> list[Difference]:
    """What differs although nothing that was found makes it differ."""
    return [difference for difference in c.differences if not any(excuses(c, f, difference) for f in findings)]


def excuses(c: Comparison, finding: Finding, difference: Difference) -> bool:
    """Whether a finding that no port can avoid makes this difference."""
    group, _, name = difference.tensor.partition("/")
    if finding.phase == "optimizer":  # judged from each side's own gradients, so all steps are
        return group == "step"
    if finding.signature == "float32":
        return precision.explained(difference)
    return finding.phase == "state" and group == "state" and owner(c, name) == finding.place_a


def owner(c: Comparison, name: str) -> str:
    return next((weight.layer for weight in c.a.weights if weight.name == name), "")


def blind(c: Comparison) -> list[str]:
    """What agrees and says nothing: outputs that rounding could change in half of their digits, and NaN everywhere.

    Gradients are asked for NaN only: one that is zero for a reason (a bias before a BatchNorm) is nothing but rounding.
    """
    found = []
    for outcome in c.outcomes:
        asked = outcome.tensor.startswith(("output/", "loss")) or not outcome.numeric
        if asked and outcome.blind(c.unit):
            found.append(outcome.tensor)
    return found


def status(verdict: Verdict, strict: bool = False) -> int:
    """The exit status: 0 the same, 1 not."""
    if verdict is Verdict.SAME or (verdict is Verdict.SAME_UP_TO and not strict):
        return 0
    return 1
