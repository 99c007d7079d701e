"""A port in a lower type: both sides, what was found, the one word about it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from suites.port.check import watch
from suites.port.common_values import common
from suites.port.comparison import Comparison
from suites.port.layouts import fit
from suites.port.low import findings
from suites.port.low.findings import LowFinding
from suites.port.low.runs import MODE, LowSide, run_side
from suites.port.parted import Parted
from suites.port.verdict import Verdict
from suites.runner.workers import Pool

ORDER = (Verdict.SAME, Verdict.SAME_UP_TO, Verdict.UNDECIDED, Verdict.DIFFERENT)


@dataclass
class LowComparison:
    """What became of both sides in the lower type. `agree`: their outputs, as far as rounding allows."""

    dtype: str
    sides: tuple[LowSide, LowSide]
    findings: list[LowFinding] = field(default_factory=list)
    agree: bool = False
    verdict: Verdict = Verdict.UNDECIDED


def run_low(c: Comparison, dtype: str, pool: Pool, progress: Callable[[str], None]) -> LowComparison:
    """Both sides in the lower type; `c` is settled on numbers of that type, and `c.pairs` are its outputs."""
    watch(c)
    sides = []
    for letter, side in (("A", c.side_a), ("B", c.side_b)):
        progress(f"running {letter} in {dtype}, and in float64 with errors of {dtype}")
        sides.append(run_side(letter, side, dtype, pool))
    found = LowComparison(dtype, (sides[0], sides[1]))
    ours, theirs = found.sides
    if not ours.refused and not theirs.refused:
        parted = parted_of(c)
        found.findings += findings.of_side(ours, theirs, parted, dtype)
        found.findings += findings.of_side(theirs, ours, parted, dtype)
        if not found.findings:
            found.findings += findings.coarser(ours, theirs, parted, dtype)
            found.findings += findings.coarser(theirs, ours, parted, dtype)
        found.agree = outputs_agree(c, found)
    found.verdict = judge(c, found)
    return found


def parted_of(c: Comparison) -> Parted:
    """The float64 passes laid on each other, to know which values of A are which of B."""
    ours, theirs = c.a.passes[MODE], c.b.passes[MODE]
    return Parted(ours, theirs, common(ours, theirs, math.sqrt(c.unit)), *c.layers())


def outputs_agree(c: Comparison, found: LowComparison) -> bool:
    """Whether both sides give the same in the lower type, whatever the truth is."""
    ours, theirs = found.sides
    turned = c.a.turned != c.b.turned
    for path_a, path_b in c.pairs:
        if path_a not in ours.outputs or path_b not in theirs.outputs:
            return False
        a, b = ours.outputs[path_a], theirs.outputs[path_b]
        other = fit(b.found, a.found, turned)
        if other.shape != a.found.shape or not np.array_equal(np.isfinite(a.found), np.isfinite(other)):
            return False
        usual = np.isfinite(a.found) & np.isfinite(a.truth)
        scale = float(np.linalg.norm(a.truth[np.isfinite(a.truth)])) or 1.0
        apart = float(np.linalg.norm(a.found[usual].astype(float) - other[usual])) / scale
        if apart > math.hypot(a.bound, b.bound):
            return False
    return True


def judge(c: Comparison, found: LowComparison) -> Verdict:
    """UNDECIDED where a side does not run in the type, or holds no number on both sides."""
    if any(side.refused for side in found.sides):
        return Verdict.UNDECIDED
    wrong = [finding for finding in found.findings if finding.wrong]
    if not wrong:
        return Verdict.SAME_UP_TO if found.findings else Verdict.SAME
    if len({finding.side for finding in wrong}) == 2 and found.agree:
        lost = any(finding.kind == findings.NOT_FINITE for finding in wrong)
        return Verdict.UNDECIDED if lost else Verdict.SAME_UP_TO
    return Verdict.DIFFERENT


def worse(one: Verdict, other: Verdict) -> Verdict:
    """Of two verdicts the one that counts."""
    return max(one, other, key=ORDER.index)
