"""What one side alone computes and these data never show: a mask that hides nothing, a relu of what is positive.

Both models give the same, so that no verdict can know of it; other data may tell them apart, and a reader is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from suites.port.comparison import Comparison
from suites.port.recording import Op, Pass, Recording

CUTTING = ("relu", "clip", "clamp", "hardtanh", "relu6", "leaky_relu", "maximum", "minimum")
CHOOSING = ("where", "masked_fill")
BLENDING = ("multiply", "add", "subtract")  # with another value: by a constant it is a part of the model
GUARDS = ("is_finite", "isnan", "isinf")  # of a library, against its own overflow
OWN = ("module", "custom", "")  # kinds of calls that a user wrote
SHOWN = 3
CLIPS = ("clipnorm", "global_clipnorm", "clipvalue", "clip_norm", "clip_value")


def idle_notes(c: Comparison) -> Iterator[str]:
    """One line for each side that has such operations, where the other one has none of their kind."""
    passes = [side.passes.get("inference") for side in (c.a, c.b)]
    if passes[0] is None or passes[1] is None:
        return
    found = [[op for op in seen.ops if is_idle(seen, op)] for seen in passes if seen is not None]
    for letter, ours, theirs in (("A", found[0], found[1]), ("B", found[1], found[0])):
        alone = left_over(ours, theirs)
        if alone:
            listed = ", ".join(f"{op.name} ({op.line or op.layer or 'output'})" for op in alone[:SHOWN])
            yield f"only {letter} has what changes nothing on these data: {listed}; other data may show a difference"
    yield from idle_clips(c)


def left_over(ours: Sequence[Op], theirs: Sequence[Op]) -> list[Op]:
    """Of operations of one side those of which the other one has fewer."""
    count_a, count_b = (sum(kind(op) in (CUTTING, CHOOSING) for op in ops) for ops in (ours, theirs))
    cutting = [op for op in ours if kind(op) is not BLENDING]
    found = cutting[: max(count_a - count_b, 0)]
    if not any(kind(op) is BLENDING for op in theirs):
        found += [op for op in ours if kind(op) is BLENDING]
    return found


def kind(op: Op) -> tuple[str, ...]:
    return next((kinds for kinds in (CUTTING, CHOOSING, BLENDING) if op.name in kinds), ())


def is_idle(seen: Pass, op: Op) -> bool:
    """Whether an operation that could change its operand gives it back, because of the numbers in it."""
    kinds = kind(op)
    if not kinds or not op.outputs or op.outputs[0] not in seen.needed:
        return False
    if kinds is BLENDING and (len(op.values) < len(op.inputs) or len(set(op.values)) < len(BLENDING) - 1):
        return False
    call = seen.call_of(op)
    if call is not None and call.weights and call.kind not in OWN:  # a library's own guard
        return False
    producers = [seen.producers.get(at) for at in op.values]
    if any(made is not None and made.name in GUARDS for made in producers):
        return False
    given = seen.values[op.outputs[0]].array
    if given is None or given.dtype.kind != "f" or given.size <= 1:
        return False
    arrays = [seen.values[at].array for at in op.values]
    return any(array is not None and np.array_equal(array, given) for array in arrays)


def idle_clips(c: Comparison) -> Iterator[str]:
    """A clip of gradients that one optimizer alone has, where no gradient was large enough for it."""
    limits = [limit_of(side) for side in (c.a, c.b)]
    if not (c.a.steps and c.b.steps) or bool(limits[0]) == bool(limits[1]):
        return
    if any(found.tensor.startswith("step/") for found in c.differences):
        return
    letter = "A" if limits[0] else "B"
    limit = limits[0] or limits[1]
    yield f"only the optimizer of {letter} clips gradients (at {limit:.4g}), and none was so large in these steps"


def limit_of(side: Recording) -> float:
    """At what an optimizer says that it clips; 0 where it does not."""
    found = [side.optimizer.get(key) for key in CLIPS]
    return float(next((value for value in found if value), 0.0))
