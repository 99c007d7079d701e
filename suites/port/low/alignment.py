"""A pass in float64 and one of the same model in a lower type, laid on each other operation by operation.

The program is the same, so the order of operations is; only casts come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from suites.port.low.types import name_of
from suites.port.recording import Op, Pass

CASTS = ("cast", "identity")


@dataclass
class Aligned:
    """`lows`: of each value of the float64 pass the values of the low one that hold it, the operation's own first.

    `partners`: the operation of the low pass that is an operation of the float64 one, by their places.
    """

    truth: Pass
    low: Pass
    lows: dict[int, list[int]] = field(default_factory=dict)
    partners: dict[int, Op] = field(default_factory=dict)

    def types(self, at: int) -> list[str]:
        """The floating types that a value is held in, that of the operation's result first."""
        names = [name_of(self.low.values[low].dtype) for low in self.lows.get(at, ())]
        return [name for name in names if name]


def align(truth: Pass, low: Pass) -> Aligned:
    """Both passes laid on each other."""
    found = Aligned(truth, low)
    roots = roots_of(truth)
    origins: dict[int, int] = {}
    for name, at in truth.inputs.items():
        if name in low.inputs:
            tie(found, origins, at, low.inputs[name])
    ours, theirs = [counted_ops(seen) for seen in (truth, low)]
    partner_of = {}
    for start_a, start_b, length in matching_blocks(truth, ours, low, theirs):
        for op, other in zip(ours[start_a : start_a + length], theirs[start_b : start_b + length], strict=True):
            found.partners[op.at] = other
            partner_of[other.at] = op
    for other in low.ops:
        if other.name in CASTS:
            follow_cast(found, origins, other)
        elif other.at in partner_of:
            tie_operation(found, origins, roots, partner_of[other.at], other)
    return found


def tie(found: Aligned, origins: dict[int, int], at: int, low: int) -> None:
    """A value of the low pass is one of the float64 pass."""
    if low not in origins:
        origins[low] = at
        found.lows.setdefault(at, []).append(low)


def follow_cast(found: Aligned, origins: dict[int, int], cast: Op) -> None:
    """What a cast gives is the value that it got."""
    source = cast.values[0] if cast.values else None
    if source in origins and cast.outputs:
        tie(found, origins, origins[source], cast.outputs[0])


def tie_operation(found: Aligned, origins: dict[int, int], roots: dict[int, int], op: Op, other: Op) -> None:
    """Operands that nothing made (constants) and results of the same operation are the same values."""
    if len(op.inputs) == len(other.inputs):
        for ours, theirs in zip(op.inputs, other.inputs, strict=True):
            if ours.value is not None and theirs.value is not None and theirs.value not in found.low.producers:
                tie(found, origins, roots.get(ours.value, ours.value), theirs.value)
    for at, low in zip(op.outputs, other.outputs, strict=False):
        tie(found, origins, at, low)


def roots_of(seen: Pass) -> dict[int, int]:
    """Of each value that a cast gave, the value that was cast."""
    found: dict[int, int] = {}
    for op in seen.ops:
        if op.name in CASTS and op.values:
            source = op.values[0]
            found.update((at, found.get(source, source)) for at in op.outputs)
    return found


def counted_ops(seen: Pass) -> list[Op]:
    return [op for op in seen.ops if op.name not in CASTS]


def matching_blocks(truth: Pass, ours: Sequence[Op], low: Pass, theirs: Sequence[Op]) -> list[tuple[int, int, int]]:
    """`(start in ours, start in theirs, length)` of runs of the same operations."""
    keys_a = [key_of(truth, op) for op in ours]
    keys_b = [key_of(low, op) for op in theirs]
    if keys_a == keys_b:
        return [(0, 0, len(keys_a))]
    return [(m.a, m.b, m.size) for m in SequenceMatcher(None, keys_a, keys_b, autojunk=False).get_matching_blocks()]


def key_of(seen: Pass, op: Op) -> tuple[object, ...]:
    """What is the same of one operation in two types."""
    return op.name, op.scope, tuple(seen.values[at].shape for at in op.outputs)
