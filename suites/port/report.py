"""A comparison in words, and as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from suites.port.check import MODES, Comparison, Difference
from suites.port.diagnose import Finding

VERSION = 1


def equal(findings: list[Finding]) -> bool:
    """Whether nothing differs but what a released framework does by itself."""
    return all(finding.released for finding in findings)


def text(c: Comparison, findings: list[Finding]) -> str:
    """The report for a person."""
    lines = [f"A  {c.a.file.title}", f"B  {c.b.file.title}", "", *_table(c), "", *_notes(c)]
    if not findings:
        return "\n".join([*lines, _same(c)])
    if equal(findings):
        return "\n".join([*lines, *_listed(findings), "", _same(c) + ", but for the above"])
    first = next(finding for finding in findings if not finding.released)
    lines += ["DIFFERENT", f"first at {_heading(first)}"]
    lines += [f"  {first.difference.words()}"] if first.difference else []
    return "\n".join([*lines, "", *_listed(findings)])


def _same(c: Comparison) -> str:
    tensors = f"{c.compared} tensors agree, the worst differs by {c.worst:.0%} of what rounding allows"
    return f"EQUAL: {tensors}{'' if 'loss' in c.a.arrays and 'loss' in c.b.arrays else '; no gradients were compared'}"


def _place(finding: Finding) -> str:
    same = finding.layer == finding.layer_b
    return finding.layer if same else f"{finding.layer} of A, {finding.layer_b} of B"


def _listed(findings: list[Finding]) -> list[str]:
    return [f"  {_heading(f)}: {f.words}" for f in findings]


def _heading(finding: Finding) -> str:
    place = _place(finding)
    return place if place == finding.phase else f"{place}, {finding.phase}"


def _table(c: Comparison) -> list[str]:
    """A line for each pair of layers: do they agree, and how well."""
    rows = [("A", "B", *MODES)]
    for matched, training in zip(c.matches["inference"][1:], c.matches["training"][1:], strict=False):
        cells = (_cell(c.outputs("inference", matched)), _cell(c.outputs("training", training)))
        rows.append((matched.a.title, matched.b.title, *cells))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return [
        "  " + "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _cell(difference: Difference | None) -> str:
    if difference is None:
        return "agrees"
    return "other shape" if difference.index is None else f"differs by {difference.disagreement:.1e}"


def _notes(c: Comparison) -> list[str]:
    notes = [f"{len(c.pairs)} parameters and statistics of A were carried over to B"]
    missing = [side.file.path for side in (c.a, c.b) if "loss" not in side.arrays]
    if missing:
        what = "the data hold no y" if "y" not in c.data else f"{' and '.join(missing)} has no loss_fn"
        notes.append(f"gradients and training steps are not compared: {what}")
    elif any(not any(name.startswith("step0/") for name in side.arrays) for side in (c.a, c.b)):
        notes.append("training steps are not compared: not both files have make_optimizer()")
    off = sorted({*c.a.switched_off, *c.b.switched_off})
    if off:
        notes.append(f"dropout is random and was switched off: {', '.join(off)}")
    if c.unit > 2.0**-50:
        notes.append("one side computes in less than float64: small differences in meaning can hide in its rounding")
    return [*notes, ""]


def record(c: Comparison, findings: list[Finding]) -> dict[str, Any]:
    """The report for a machine."""
    return {
        "version": VERSION,
        "a": c.a.file._asdict(),
        "b": c.b.file._asdict(),
        "equal": equal(findings),
        "compared": c.compared,
        "worst_share_of_bound": c.worst,
        "parameters": {pair.a.name: pair.b.name for pair in c.pairs},
        "findings": [_finding(finding) for finding in findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    keys = ("phase", "layer", "layer_b", "signature", "recognised", "words", "released")
    d = finding.difference
    evidence = d and {**vars(d), **{k: _number(getattr(d, k)) for k in ("a", "b", "disagreement", "bound")}}
    return {**{key: getattr(finding, key) for key in keys}, "difference": evidence}


def _number(value: float) -> float | str:
    """JSON has no infinity and no NaN."""
    return value if math.isfinite(value) else str(value)


def write(path: str, c: Comparison, findings: list[Finding]) -> None:
    Path(path).write_text(json.dumps(record(c, findings), indent=1) + "\n", encoding="utf-8")
