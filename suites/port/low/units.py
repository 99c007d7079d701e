"""How much each operation of a pass may round in a lower type: the errors that the float64 pass is repeated with.

An operation rounds its result to the type that the low pass stored it in, and sums in float32 at least (a result of n
terms is off by sqrt(n) u of float32 more: Higham and Mary 2019). What is computed from no input and no weight, such as
positions, frequencies and masks, is a constant of the model: it may be computed in float32, and be rounded once to the
type where it meets something that is computed. So angles of positions in bfloat16 are more than rounding, while a norm
or a softmax in bfloat16 is not.
"""

from __future__ import annotations

import math

import numpy as np

from impls.floating_types import FLOATING
from impls.port.vocabulary import MOVES
from suites.port.low.alignment import CASTS, Aligned
from suites.port.low.types import unit_of
from suites.port.recording import Op, Operand, Pass

SINGLE = FLOATING["float32"].unit
PRODUCTS = ("matmul", "linear", "einsum", "attention", "multi_head_attention", "bilinear")
OVER_AN_AXIS = ("softmax", "log_softmax", "layer_norm", "rms_norm", "logsumexp", "cumsum")
NORMS = ("group_norm", "instance_norm", "batch_norm", "local_response_norm")
RECURRENT = ("lstm", "gru", "rnn", "scan", "while")
ROUNDINGS_OF_A_STEP = 6  # of a recurrent layer: two products, their sum, a gate, the state and what it gives


def units(aligned: Aligned, shapes: dict[str, tuple[int, ...]], dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """The unit roundoff and the error of the sum of each value of the float64 pass; 0 for what is not rounded.

    `shapes` are those of the weights.
    """
    seen = aligned.truth
    computed = computed_values(seen)
    found = np.zeros((2, len(seen.values)))
    for op in seen.ops:
        if op.name in CASTS:
            continue
        for at in op.outputs:
            if not unit_of(seen.values[at].dtype):
                continue
            if at not in computed:
                found[0, at] = 0.0 if op.name in MOVES else SINGLE
                continue
            found[0, at] = unit_of_value(aligned, op, at, computed, dtype)
            if found[0, at] and op.name not in MOVES:
                found[1, at] = SINGLE * math.sqrt(terms(seen, op, at, shapes))
    return found[0], found[1]


def unit_of_value(aligned: Aligned, op: Op, at: int, computed: set[int], dtype: str) -> float:
    """Of the narrowest type that a result is held in, and of the constants that go into it."""
    types = aligned.types(at) or [dtype]
    if op.name in MOVES:  # rounds nothing, but what it gives may be cast
        narrower = [unit_of(name) for name in types[1:] if unit_of(name) > unit_of(types[0])]
        return max(narrower, default=0.0)
    own = max(unit_of(name) for name in types)
    if op.name in RECURRENT:
        own *= math.sqrt(ROUNDINGS_OF_A_STEP * steps(aligned.truth, op))
    constants = sum(unit_of_constant(aligned, op, place, computed) for place in range(len(op.inputs)))
    return own + min(constants, 2 * max(own, FLOATING[dtype].unit))


def unit_of_constant(aligned: Aligned, op: Op, place: int, computed: set[int]) -> float:
    """By how much a constant among the operands may be off: a rounding to the type that it has."""
    operand = op.inputs[place]
    other = aligned.partners.get(op.at)
    if operand.value is not None and operand.value not in computed:
        return max((unit_of(name) for name in aligned.types(operand.value)), default=0.0)
    if other is not None and len(other.inputs) == len(op.inputs):
        return apart(operand, other.inputs[place])
    return 0.0


def apart(ours: Operand, theirs: Operand) -> float:
    """By how much a number that is written out differs in the low pass, relative."""
    if not isinstance(ours.literal, float) or not isinstance(theirs.literal, float) or not ours.literal:
        return 0.0
    return abs(theirs.literal - ours.literal) / abs(ours.literal)


def computed_values(seen: Pass) -> set[int]:
    """The values that depend on an input that is no integer, or on a weight."""
    found = {at for at in seen.inputs.values() if unit_of(seen.values[at].dtype)}
    for op in seen.ops:
        if op.weights or any(at in found for at in op.values):
            found.update(op.outputs)
    return found


def terms(seen: Pass, op: Op, at: int, shapes: dict[str, tuple[int, ...]]) -> int:
    """How many terms the longest sum in an operation may have; 0 where nothing is added up."""
    given = [seen.values[value].shape for value in op.values]
    given += [shapes[name] for name in op.weights if name in shapes]
    if not given or not given[0]:
        return 0
    size, result = math.prod(given[0]), max(seen.values[at].size, 1)
    if op.name in PRODUCTS:
        return max(shape[-1] for shape in given if shape)
    if op.name in ("conv", "conv_transpose"):
        kernel = given[1] if len(given) > 1 else given[0]
        return max(math.prod(kernel) // max(min(kernel), 1), 1)
    if op.name in OVER_AN_AXIS:
        return max(given[0])
    if op.name in (*NORMS, *RECURRENT):
        return max(size // max(min(given[0]), 1), 1)
    return size // result if size > result else 0


def steps(seen: Pass, op: Op) -> int:
    """Of a recurrent layer that is one operation: the longest axis but the last of what goes in."""
    shapes = [seen.values[at].shape for at in op.values]
    return max((n for shape in shapes if len(shape) > 2 for n in shape[:-1]), default=1)
