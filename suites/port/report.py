"""A comparison in words, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suites.port.bounds import Difference
from suites.port.comparison import Comparison
from suites.port.findings import Finding
from suites.port.idle import idle_notes
from suites.port.low import report as of_low
from suites.port.low.judge import LowComparison
from suites.port.verdict import Verdict, blind

VERSION = 2
FORWARD_ONLY = ("onnx",)  # APIs that know inference alone
SHOWN = 6  # rows of layers and of links


def text(c: Comparison, findings: Sequence[Finding], verdict: Verdict, low: LowComparison | None = None) -> str:
    """The report for a person: the verdict and its first cause first."""
    lines = [f"A  {c.a.title}", f"B  {c.b.title}", "", headline(c, findings, verdict), *listed(findings)]
    lines += ["", *of_low.lines(low)] if low is not None else []
    return "\n".join([*lines, "", *notes(c)])


def headline(c: Comparison, findings: Sequence[Finding], verdict: Verdict) -> str:
    agreed = f"{len(c.outcomes)} tensors agree, the worst differs by {worst(c):.0%} of what rounding allows"
    if verdict is Verdict.SAME:
        return f"SAME: {agreed}"
    if verdict is Verdict.SAME_UP_TO:
        return "SAME UP TO what no port can avoid:"
    if verdict is Verdict.UNDECIDED:
        return f"UNDECIDED: {why_undecided(c)}"
    first = next((finding for finding in findings if not finding.released), None)
    if first is None:
        return f"DIFFERENT: {c.differences[0].words()}"
    return f"DIFFERENT, first at {heading(first)}"


def why_undecided(c: Comparison) -> str:
    assert c.proof is not None
    if not c.proof.holds:
        return c.proof.words()
    name = blind(c)[0]
    outcome = next(outcome for outcome in c.outcomes if outcome.tensor == name)
    if not outcome.numeric:
        return (
            f"{name} holds no number in A and in B (NaN or infinite everywhere, or by a rounding error), which says "
            "nothing: try other data (a mask that leaves something of each example)"
        )
    return (
        f"{name} agrees, but the model magnifies a rounding error {outcome.condition:.1e} times on these data, so that "
        "more than half of the digits say nothing: try other data (less saturated, of another size)"
    )


def worst(c: Comparison) -> float:
    """The largest share of its bound that an agreeing tensor takes."""
    return max((outcome.share for outcome in c.outcomes if outcome.difference is None), default=0.0)


def listed(findings: Sequence[Finding]) -> list[str]:
    found = []
    for finding in findings:
        found.append(f"  {heading(finding)}: {finding.words()}")
        if finding.difference is not None:
            found.append(f"    {finding.difference.words()}")
        where = " ".join(f"{side} {line}" for side, line in (("A", finding.line_a), ("B", finding.line_b)) if line)
        if where:
            found.append(f"    at {where}")
    return found


def heading(finding: Finding) -> str:
    """Where, and in which phase."""
    return finding.place if finding.place == finding.phase else f"{finding.place}, {finding.phase}"


def notes(c: Comparison) -> list[str]:
    """What a reader has to know of how it was compared."""
    found = [f"{len(c.links)} parameters and statistics of A were carried over to B", *c.notes]
    lacking = [side for side in (c.a, c.b) if side.no_gradients]
    if lacking:
        found.append(f"{lacking[0].title} has no gradients here: {lacking[0].no_gradients}")
    missing = [side.path for side in (c.a, c.b) if "loss" not in side.arrays and side.api not in FORWARD_ONLY]
    if any(side.api in FORWARD_ONLY for side in (c.a, c.b)):
        found.append("gradients, training mode and training steps are not compared")
    elif missing:
        what = "the data hold no y" if c.data.labels is None else f"{' and '.join(missing)} has no loss_fn"
        found.append(f"gradients and training steps are not compared: {what}")
    elif not (c.a.steps and c.b.steps):
        found.append("training steps are not compared: not both files have make_optimizer()")
    found += [c.held.words()] if c.held is not None else []
    found += mode_notes(c)
    found += idle_notes(c)
    dropped: set[str] = set()
    for seen in (*c.a.passes.values(), *c.b.passes.values()):
        dropped.update(each.layer or "dropout" for each in seen.dropouts)
    if dropped:
        found.append(f"dropout was left out of the passes and compared by place and rate: {', '.join(sorted(dropped))}")
    own = [weight.name for weight in (*c.matching.own_a, *c.matching.own_b)]
    if own:
        found.append(
            f"buffers of one side only, or weights that nothing reads, keep their own numbers: {', '.join(own[:SHOWN])}"
        )
    if c.unit > 2.0**-50:
        found.append("one side computes in less than float64: small differences in meaning can hide in its rounding")
    if c.proof is not None:
        found.append(c.proof.words())
    return found


def mode_notes(c: Comparison) -> list[str]:
    """A side without a training mode, penalties that the reported loss leaves out."""
    found = []
    for letter, side in (("A", c.a), ("B", c.b)):
        if not side.training_mode and side.api not in FORWARD_ONLY:
            why = "its forward takes no `training`, or it was exported"
            found.append(f"{letter} has no training mode ({why}): compared in inference")
        if "penalty" in side.arrays:
            value = float(side.arrays["penalty"])
            found.append(
                f"{letter} adds penalties of {value:.4g} to its loss: they are compared by what training steps do"
            )
    return found


def record(
    c: Comparison, findings: Sequence[Finding], verdict: Verdict, exit: int, low: LowComparison | None = None
) -> dict[str, Any]:
    """The report for a machine."""
    assert c.proof is not None
    return {
        "version": VERSION,
        "verdict": verdict.value,
        "exit": exit,
        "a": {"path": c.a.path, "api": c.a.api, "backend": c.a.backend},
        "b": {"path": c.b.path, "api": c.b.api, "backend": c.b.backend},
        "compared": len(c.outcomes),
        "worst_share_of_bound": number(worst(c)),
        "links": [[link.a.name, link.b.name] for link in c.links],
        "proof": {**vars(c.proof), "holds": c.proof.holds},
        "notes": notes(c),
        "findings": [one(finding) for finding in findings],
        "low_precision": None if low is None else of_low.record(low),
    }


def one(finding: Finding) -> dict[str, Any]:
    keys = ("phase", "place_a", "place_b", "line_a", "line_b", "signature", "released")
    found: dict[str, Any] = {key: getattr(finding, key) for key in keys}
    cause = finding.cause
    found.update(words=finding.words(), recognised=cause is not None, a="", b="", template="")
    if cause is not None:
        found.update(a=cause.a, b=cause.b, template=cause.template)
    return {**found, "difference": evidence(finding.difference)}


def evidence(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    numbers = {key: number(getattr(difference, key)) for key in ("a", "b", "relative", "bound")}
    return {**vars(difference), **numbers}


def number(value: float) -> float | str:
    """JSON has no infinity and no NaN."""
    return value if math.isfinite(value) else str(value)


def write(path: str, document: dict[str, Any]) -> None:
    Path(path).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
