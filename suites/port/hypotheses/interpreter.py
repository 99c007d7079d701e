"""A side's operations in plain NumPy, so that one of them can be changed and what follows is computed again.

What an engine means by an operation is found by trying: a meaning counts if it gives the recorded output of the
recorded inputs. Operations that only move numbers are taken as the map from places to places that their recorded input
and output show. What is not understood stays as it was recorded.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from suites.port.hypotheses import meanings, sampling
from suites.port.hypotheses.composed import COMPOSED, as_softmax
from suites.port.hypotheses.formulas import ACTIVATIONS
from suites.port.hypotheses.movements import movement
from suites.port.hypotheses.named_meanings import BINARY, CLIP_ENDS, clip_end, named_meanings, of_one
from suites.port.hypotheses.placing import placed
from suites.port.hypotheses.program import NOT_COMPUTABLE, Array, Program, Step, close
from suites.port.hypotheses.question import Part, Same
from suites.port.hypotheses.spectra import transforms
from suites.port.recording import Op, Operand

NUMBERS = ("other", "exponent", "value", "argument1", "argument2")  # attributes that hold an operand


def understand(part: Part) -> Program:
    """A part as a program; of the last few that were asked for, as it was found."""
    return _understand(Same(part))


@functools.lru_cache(maxsize=8)
def _understand(same: Same) -> Program:
    """All steps that can be computed again; operations that can't are left out and stay as recorded."""
    part = same.part
    values = {at: np.asarray(array) for at, array in part.values.items() if np.size(array)}
    steps: list[Step] = []
    fresh = itertools.count(-2, -1)
    for op in part.ops:
        for made in _steps(op, part, values, fresh):
            steps.append(as_softmax(made, steps, values))
            values.setdefault(made.at, made.run(values))
    return Program(tuple(steps), values, part.exit_id)


def _steps(op: Op, part: Part, values: Mapping[int, Array], fresh: Iterator[int]) -> list[Step]:
    if op.name in COMPOSED:
        return COMPOSED[op.name](op, part, values, fresh)
    found = []
    inputs = _inputs(op, part, values)
    if inputs is None:
        return []
    for at in op.outputs:
        if at not in values:
            continue
        step = _understood(op, inputs, at, values)
        if step is not None:
            found.append(step)
    return found


def _inputs(op: Op, part: Part, values: Mapping[int, Array]) -> tuple[int | Array, ...] | None:
    """Ids of values, and the arrays of what is constant; None where a number was not kept."""
    found: list[int | Array] = []
    for operand in op.inputs:
        if op.name == "concatenate" and operand.value is not None and not np.size(part.values.get(operand.value, 1)):
            continue  # an empty rest of what is cut
        read = _operand(operand, part, values)
        if read is None:
            return None
        found.append(read)
    for name in NUMBERS:
        number = op.attributes.get(name)
        if isinstance(number, (int, float)) and not isinstance(number, bool) and op.name in {*BINARY, "masked_fill"}:
            found.append(np.asarray(float(number)))
    if op.name == "clip":
        ends = [clip_end(op, key) for key in CLIP_ENDS]
        found += [np.asarray(end) for end in ends if end is not None]
    return tuple(found)


def _operand(operand: Operand, part: Part, values: Mapping[int, Array]) -> int | Array | None:
    if operand.value is not None:
        return operand.value if operand.value in values else None
    if operand.weights:
        return part.own.get(operand.weights[0]) if len(operand.weights) == 1 else None
    try:
        return np.asarray(operand.literal, float)
    except (TypeError, ValueError):
        return np.asarray(0.0)


def _understood(op: Op, inputs: tuple[int | Array, ...], at: int, values: Mapping[int, Array]) -> Step | None:
    arrays = [values[each] if isinstance(each, int) else each for each in inputs]
    wanted = values[at]
    for name, used, function, axis in named_meanings(op, arrays, wanted.shape):
        chosen = [arrays[i] for i in used]
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(function(chosen))
        except NOT_COMPUTABLE:
            continue
        if close(found, wanted):
            return Step(name, tuple(inputs[i] for i in used), at, function, op, axis)
    return (
        movement(op, inputs, at, values)
        or _activation(op, inputs, at, values)
        or _unnamed(op, inputs, at, arrays, wanted)
    )


def _further(op: Op) -> meanings.Further:
    """What only an operation of some name is tried for."""
    epsilon, groups = op.attributes.get("epsilon"), op.attributes.get("groups")
    if op.name in ("matmul", "linear", "einsum"):
        return meanings.flat_product
    if op.name == "conv":
        return meanings.convolved
    if op.name in ("grid_sample", "grid_sampler"):
        return sampling.read_again
    if op.name in ("layer_norm", "group_norm", "instance_norm"):
        return lambda arrays, wanted: meanings.normalisations(op.name, epsilon, groups, arrays)
    return lambda arrays, wanted: itertools.chain(transforms(arrays, wanted), placed(arrays, wanted))


def _unnamed(op: Op, inputs: tuple[int | Array, ...], at: int, arrays: Sequence[Array], wanted: Array) -> Step | None:
    """Whatever gives these numbers, under any name."""
    found = meanings.found_in(arrays, wanted, _further(op))
    if found is None:
        return None
    name, used, function, axis = found
    return Step(name, tuple(inputs[i] for i in used), at, function, op, axis)


def _activation(op: Op, inputs: tuple[int | Array, ...], at: int, values: Mapping[int, Array]) -> Step | None:
    """A function of one value under a name of the engine's own."""
    if len(inputs) != 1 or not isinstance(inputs[0], int):
        return None
    x, wanted = values[inputs[0]], values[at]
    for name, function in ACTIVATIONS.items() if x.shape == wanted.shape and x.dtype.kind == "f" else ():
        if name not in ("linear", "softmax", "log_softmax") and close(np.asarray(function(x)), wanted):
            return Step(name, inputs, at, of_one(function), op)
    return None
