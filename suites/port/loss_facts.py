"""What the operations of two losses show by themselves, whatever they compute."""

from __future__ import annotations

from collections.abc import Sequence

from suites.port import precision
from suites.port.comparison import LOSS, Comparison
from suites.port.graph import Slice
from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.question import Cause
from suites.port.recording import Op, Pass

PAIR = 2  # operands: an output and a label


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


def first_broadcast(seen: Pass) -> Op | None:
    return next((op for op in seen.ops if crosses(shapes_of(op, seen))), None)


def shapes_of(op: Op, seen: Pass) -> list[tuple[int, ...]]:
    return [tuple(seen.values[at].shape) for at in op.values]


def crosses(shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether an operation takes (n, 1) and (n,)."""
    rows = [shape for shape in shapes if len(shape) == 1 and shape[0] > 1]
    return len(shapes) == PAIR and any((*row, 1) in shapes for row in rows)
