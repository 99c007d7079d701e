"""What the operations of two losses show by themselves, whatever they compute."""

from __future__ import annotations

from collections.abc import Sequence

from suites.port import precision
from suites.port.comparison import LOSS, Comparison
from suites.port.errors import PortError
from suites.port.fits import multiple
from suites.port.graph import Slice
from suites.port.hypotheses.causes import cause, nice, short
from suites.port.hypotheses.loss_question import Slopes
from suites.port.hypotheses.question import Cause
from suites.port.layouts import fit
from suites.port.recording import Op, Pass

PAIR = 2  # operands: an output and a label
DIGITS = 4  # of a weight that a person writes


def rounded_loss(c: Comparison) -> Cause | None:
    """Where a loss has a constant in float32 inside an engine, as Keras's log-cosh has log 2."""
    a, b = ((Slice(seen.ops, (), 0), seen) for seen in (c.a.passes[LOSS], c.b.passes[LOSS]))
    return precision.rounded_inside(a, b)


def broadcast_loss(c: Comparison) -> Cause | None:
    """A column against a row on one side only: every output is compared with every label."""
    found = [first_broadcast(side.passes[LOSS]) for side in (c.a, c.b)]
    if (found[0] is None) == (found[1] is None):
        return None
    words = ["each output with its own label"] * 2
    for at, op in enumerate(found):
        if op is not None:
            shapes = shapes_of(op, (c.a, c.b)[at].passes[LOSS])
            line = f" ({op.line})" if op.line else ""
            words[at] = f"{shapes[0]} with {shapes[1]}, each output with every label{line}"
    return cause("broadcast", "what the loss compares", *words)


def slopes_of_losses(c: Comparison) -> Slopes | None:
    """The gradients of both losses in the outputs, in A's layout; None where a side has none, a capture say."""
    try:
        ours, theirs = c.side_a.loss_slopes(), c.side_b.loss_slopes()
    except PortError:
        return None
    turned = c.a.turned != c.b.turned
    pairs = [(a, b) for a, b in c.pairs if a in ours and b in theirs and ours[a].size == theirs[b].size]
    return {a: ours[a] for a, _ in pairs}, {a: fit(theirs[b], ours[a], turned) for a, b in pairs}


def weighed_outputs(c: Comparison) -> Cause | None:
    """Where a loss of several outputs weighs some of them otherwise: B's gradient in these is one number times A's."""
    ours, theirs = slopes_of_losses(c) or ({}, {})
    factors = {path: multiple(ours[path], theirs[path]) for path in ours}
    found: dict[str, list[str]] = {}
    for path, factor in factors.items():
        words = "another one" if factor is None else f"{short(nice(factor, DIGITS))} times A's"
        found.setdefault(words, []).append(path)
    if len(factors) < PAIR or len(found) < PAIR or all(factor is None for factor in factors.values()):
        return None
    words = "; ".join(f"{factor} in {', '.join(paths)}" for factor, paths in found.items())
    return cause("loss_weights", "weights of the parts of the loss, by its gradient in each output", "1", words)


def first_broadcast(seen: Pass) -> Op | None:
    return next((op for op in seen.ops if crosses(shapes_of(op, seen))), None)


def shapes_of(op: Op, seen: Pass) -> list[tuple[int, ...]]:
    return [tuple(seen.values[at].shape) for at in op.values]


def crosses(shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether an operation takes (n, 1) and (n,)."""
    rows = [shape for shape in shapes if len(shape) == 1 and shape[0] > 1]
    return len(shapes) == PAIR and any((*row, 1) in shapes for row in rows)
