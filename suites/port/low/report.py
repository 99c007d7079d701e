"""The comparison in a lower type in words, and as JSON."""

from __future__ import annotations

from typing import Any

from suites.port.low.findings import LowFinding
from suites.port.low.judge import LowComparison
from suites.port.low.runs import LowSide, Tap
from suites.port.verdict import Verdict

SHOWN = 8  # layers of a side


def lines(found: LowComparison) -> list[str]:
    """The part of the report for a person."""
    text = [f"In {found.dtype}: {headline(found)}"]
    for finding in found.findings:
        text.append(f"  {finding.side}, {finding.place}: {finding.words}")
        text.append(f"    {numbers(finding)}")
        if finding.line:
            text.append(f"    at {finding.side} {finding.line}")
    text += [f"  {side.letter} does not run: {side.refused}" for side in found.sides if side.refused]
    if not any(side.refused for side in found.sides):
        text += table(found)
    return text


def headline(found: LowComparison) -> str:
    if found.verdict is Verdict.SAME:
        return "SAME: both sides are as far from float64 as rounding makes them"
    if found.verdict is Verdict.UNDECIDED:
        refused = any(side.refused for side in found.sides)
        return "UNDECIDED: " + ("not both sides run in it" if refused else "neither side gives numbers in it")
    if found.verdict is Verdict.SAME_UP_TO:
        if any(finding.wrong for finding in found.findings):
            return "SAME UP TO what both sides do alike, and what is more than rounding:"
        return "SAME UP TO rounding, of which one side does more:"
    return "DIFFERENT, more than rounding:"


def numbers(finding: LowFinding) -> str:
    beside = f", the other side by {finding.other:.1e}" if finding.other else ""
    whose = "rounding allows" if finding.wrong else "where its rounding allows"
    return f"off by {finding.error:.1e} of its norm{beside}; {whose} {finding.bound:.1e}"


def table(found: LowComparison) -> list[str]:
    """Error, bound and their ratio at the outputs and in the layers that use most of their bounds."""
    rows = [("side", "place", "off by", "rounding allows", "ratio")]
    for side in found.sides:
        for path, output in side.outputs.items():
            rows.append((side.letter, path, *cells(output.error, output.bound)))
        for layer, tap in list(layers(side).items())[:SHOWN]:
            rows.append((side.letter, layer, *cells(tap.error, tap.bound)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    found_rows = []
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        found_rows.append("  " + "  ".join(padded).rstrip())
    return found_rows


def cells(error: float, bound: float) -> tuple[str, str, str]:
    ratio = error / bound if bound else float(error > 0)
    return f"{error:.1e}", f"{bound:.1e}", f"{ratio:.2f}"


def layers(side: LowSide) -> dict[str, Tap]:
    """The worst value of each layer, by how much of its bound it takes, the worst first."""
    worst: dict[str, Tap] = {}
    for tap in side.taps:
        if tap.place not in worst or tap.ratio > worst[tap.place].ratio:
            worst[tap.place] = tap
    return dict(sorted(worst.items(), key=lambda item: -item[1].ratio))


def record(found: LowComparison) -> dict[str, Any]:
    """The part of the report for a machine."""
    return {
        "dtype": found.dtype,
        "verdict": found.verdict.value,
        "agree": found.agree,
        "findings": [one(finding) for finding in found.findings],
        "sides": {side.letter.lower(): of_side(side) for side in found.sides},
    }


def one(finding: LowFinding) -> dict[str, Any]:
    return {**vars(finding), "error": finite(finding.error), "bound": finite(finding.bound), "wrong": finding.wrong}


def of_side(side: LowSide) -> dict[str, Any]:
    outputs = {
        path: {"error": finite(o.error), "bound": finite(o.bound), "missing": o.missing}
        for path, o in side.outputs.items()
    }
    worst = {layer: of_tap(tap) for layer, tap in layers(side).items()}
    return {"refused": side.refused, "outputs": outputs, "layers": worst}


def of_tap(tap: Tap) -> dict[str, Any]:
    numbers = {"error": finite(tap.error), "bound": finite(tap.bound)}
    return {"operation": tap.op.raw, "line": tap.op.line, "types": list(tap.types), **numbers}


def finite(value: float) -> float | str:
    """JSON has no infinity."""
    return value if abs(value) < float("inf") else str(value)
