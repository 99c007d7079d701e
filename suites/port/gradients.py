"""What is differentiated otherwise, where the passes and the loss agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from suites.port import precision
from suites.port.bounds import Difference
from suites.port.compared_tensors import first, trained
from suites.port.comparison import Comparison
from suites.port.findings import Finding
from suites.port.fits import multiple
from suites.port.flowing_back import flow_finding
from suites.port.hypotheses.causes import escaped
from suites.port.hypotheses.question import Cause
from suites.port.matching.links import Link
from suites.port.recording import Op
from suites.port.structure import origin

STOPS = ("detach", "stop_gradient", "StopGradient")  # what engines call it


def of_gradients(c: Comparison, known: Sequence[Finding], single: bool) -> Iterator[Finding]:
    """Judged only where the passes and the loss agree: the last layer that differs is the first at fault."""
    before = ("inference", "training", "loss")
    if any(finding.phase in before or finding.signature.startswith("buffer") for finding in known):
        return
    for link in reversed(trained(c, "gradient")):
        difference = first(c, f"gradient/{link.a.name}", single)
        if difference is not None:
            yield slope_finding(c, link, difference)
            return


def slope_finding(c: Comparison, link: Link, difference: Difference) -> Finding:
    """What is differentiated otherwise: by the place where it parts, or by the gradients of a layer."""
    rounded = derivative_in_single(c, difference)
    if rounded is not None:
        return Finding("backward", link.a.layer, link.b.layer, rounded, difference)
    parted = flow_finding(c)
    if parted is not None:
        return replace(parted, difference=difference)
    cause, details = slope(c, link)
    return Finding("backward", link.a.layer, link.b.layer, cause, difference, details=details)


def derivative_in_single(c: Comparison, difference: Difference) -> Cause | None:
    """Where an engine has a constant of a derivative in float32, and no more than that differs."""
    words = [precision.in_the_derivative(side.passes[c.modes[-1]]) for side in (c.a, c.b)]
    if not any(words) or not precision.explained(difference):
        return None
    ours, theirs = (text or "float64 throughout" for text in words)
    return Cause("float32", "precision: A has {a}, B {b} (no fault of the port)", ours, theirs, precision.RELEASED)


def slope(c: Comparison, link: Link) -> tuple[Cause | None, str]:
    stopped = stopped_on_one_side(c)
    if stopped is not None:
        return stopped, ""
    ours = link.pick_a(c.a.arrays[f"gradient/{link.a.name}"])
    theirs = link.to_a(c.b.arrays[f"gradient/{link.b.name}"])
    if not theirs.any():
        return Cause("no_gradient", "no gradient reaches this parameter in B (detached, or frozen)"), ""
    if not ours.any():
        return Cause("no_gradient", "no gradient reaches this parameter in A (detached, or frozen)"), ""
    rows = still_rows(ours, theirs)
    if rows is not None:
        return rows, ""
    ratio = multiple(ours, theirs, c.unit**0.75)
    if ratio is not None:
        return Cause("gradient_scale", "gradient: B's is {b} times A's", "1", f"{ratio:.4g}"), ""
    return None, "the outputs and the loss agree, what is differentiated does not"


def stopped_on_one_side(c: Comparison) -> Cause | None:
    """A value that only one side detaches: the passes agree, what flows back does not."""
    mode = c.modes[-1]
    passes, parted = (c.a.passes[mode], c.b.passes[mode]), c.parted(mode)
    all_a, all_b = ({op.values[0]: op for op in seen.ops if stops(op)} for seen in passes)
    ours = [at for at in all_a if not any(parted.common.same(at, other) for other in all_b)]
    theirs = [at for at in all_b if not any(parted.common.same(other, at) for other in all_a)]
    if bool(ours) == bool(theirs):
        return None
    at = ours[0] if ours else theirs[0]
    seen, op = (passes[0], all_a[at]) if ours else (passes[1], all_b[at])
    words = ("stops it", "lets it through") if ours else ("lets it through", "stops it")
    line = f" ({op.line})" if op.line else ""
    return Cause("stopped", escaped(f"gradient of {origin(seen, at)}{line}") + ": A {a}, B {b}", *words)


def stops(op: Op) -> bool:
    return op.raw.rpartition(".")[2] in STOPS and len(op.values) == 1


def still_rows(ours: np.ndarray, theirs: np.ndarray) -> Cause | None:
    """Rows of a table that one side gives no gradient, as nn.Embedding's padding_idx does; the others agree."""
    if ours.ndim != 2:
        return None
    apart = np.flatnonzero(np.abs(ours - theirs).max(1) > 1e-9 * np.abs(ours).max())
    if not 0 < len(apart) < len(ours):
        return None
    for still, words in ((ours, ("none", "one")), (theirs, ("one", "none"))):
        if not still[apart].any():
            listed = ", ".join(map(str, apart[:4])) + (", ..." if len(apart) > 4 else "")
            template = f"gradient of row {listed} of the table (padding_idx): A gives it {{a}}, B {{b}}"
            return Cause("padding_idx", template, *words)
    return None
