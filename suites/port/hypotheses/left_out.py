"""An operation of A's that B leaves out, or one that B puts in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from suites.port.hypotheses.causes import cause, spell
from suites.port.hypotheses.formulas import ACTIVATIONS, may_be
from suites.port.hypotheses.generic import sizes
from suites.port.hypotheses.layers import spoken
from suites.port.hypotheses.moves import Change, floats
from suites.port.hypotheses.other_numbers import written
from suites.port.hypotheses.program import REDUCTIONS, Array, Program, Step
from suites.port.hypotheses.question import Cause, Question
from suites.port.hypotheses.wording import describe, describe_entry, describe_value, line_of, where

LONGEST_ORDER = 120  # slices whose order is looked for
SQUASHING = ("relu", "gelu", "silu", "sigmoid", "tanh", "softplus", "exp", "abs")


def activation_left_out(question: Question, program: Program) -> Iterator[Change]:
    """Before anything else that may look the same on the numbers of one batch."""
    yield from left_out(question, program, SQUASHING)


def left_out(question: Question, program: Program, names: Sequence[str] = ()) -> Iterator[Change]:
    """An operation (one of these names, if any are given) that B does not have: what goes in comes out."""
    for step in program.steps:
        if names and step.name not in names:
            continue
        y = program.values[step.at]
        for place, each in enumerate(step.inputs):
            if not isinstance(each, int) and not step.ids and each.shape == y.shape:  # of a weight alone
                named = cause("missing", describe(step), "computes it", "leaves it out")
                yield {}, {step.at: replace(step, function=partial(_given, place))}, named
        for at in step.ids:
            if program.values[at].shape == y.shape and program.values[at].dtype == y.dtype:
                named = in_order(program.values[at], y) or missing(question, program, step, at)
                yield {step.at: program.values[at]}, {}, named


def _given(place: int, arrays: Sequence[Array]) -> Array:
    return arrays[place]


def missing(question: Question, program: Program, step: Step, at: int) -> Cause:
    numbers = [number for _, number in written(step)]
    numbers += [float(np.ravel(program.values[i])[0]) for i in step.ids if i != at and program.values[i].size == 1]
    if len(numbers) == 1 and step.name in ("multiply", "divide"):
        return missing_factor(question, program, step, numbers[0])
    total = program.producer(step.ids[1]) if step.name == "divide" and len(step.ids) == 2 else None
    if total is not None and total.name in REDUCTIONS and total.ids == [at]:
        return cause("missing", f"division by its own {total.name}{line_of(step)}", "computes it", "leaves it out")
    others = [describe_value(program, question, other) for other in step.ids if other != at]
    what = f" of {others[0]}" if others and step.name == "add" else ""
    return cause("missing", f"{describe(step)}{what}", "computes it", "leaves it out")


def missing_factor(question: Question, program: Program, step: Step, number: float) -> Cause:
    """A factor that is left out, by its number."""
    factor = number
    if step.name != "multiply":
        factor = 1 / number if number else math.inf
    known = [*sizes(question), *((n, "length") for n in program.values[step.at].shape[1:])]
    return replace(
        cause("factor", f"factor{where(step)}", spell(factor, known), "1"), factor=1 / factor if factor else 1.0
    )


def in_order(source: Array, wanted: Array) -> Cause | None:
    """A value whose slices along one axis are those of another one, in an order of their own."""
    for axis in range(wanted.ndim):
        ours, theirs = (np.moveaxis(each, axis, 0).reshape(wanted.shape[axis], -1) for each in (source, wanted))
        if len(ours) < 2 or len(ours) > LONGEST_ORDER or ours.dtype.kind not in "fiu":
            continue
        order = np.array([int(np.abs(ours - row).sum(1).argmin()) for row in theirs])
        if np.array_equal(ours[order], theirs) and not np.array_equal(order, np.arange(len(order))):
            listed = ", ".join(map(str, order[:12])) + (", ..." if len(order) > 12 else "")
            if axis == 0:
                return cause("example_order", "the examples", f"in the order {listed}", "as they come")
            return cause("axis_order", f"axis {axis} of {wanted.shape}", f"in the order {listed}", "as it is")
    return None


def gone_around(question: Question, program: Program) -> Iterator[Change]:
    """Several operations, a whole layer of the user's, that B does not apply."""
    for step, y in floats(program):
        before = program.before(step.at)
        for at in dict.fromkeys(each for earlier in before for each in earlier.ids):
            if at in step.ids or program.values[at].shape != y.shape:
                continue
            held = {earlier.at for earlier in program.before(at)}
            left = [earlier for earlier in before if earlier.at not in held]
            yield {step.at: program.values[at]}, {}, cause("missing", _layers(left), "applies it", "leaves it out")


def _layers(steps: list[Step]) -> str:
    """The layers that operations are in, or their names."""
    layers = dict.fromkeys(step.op.layer for step in steps if step.op is not None)
    names = [name for name in layers if name] or list(dict.fromkeys(step.name for step in steps))
    return " and ".join(names[:3])


def put_in(question: Question, program: Program) -> Iterator[Change]:
    """A function that B applies on the way."""
    seen = [(entry.id, entry.array, describe_entry(entry)) for entry in question.a.entries]
    seen += [(step.at, array, f"the result of {describe(step)}") for step, array in floats(program)]
    for at, array, name in seen:
        if array.dtype.kind != "f" or at == program.exit_id:
            continue
        for function_name, function in ACTIVATIONS.items():
            odd = function_name in ("linear", "leaky_relu", "exponential") or not may_be(function_name, array)
            if not odd and np.ptp(function(array)):
                b = f"applies {spoken(function_name)} to it"
                named = cause("extra", name, "goes on with it as it is", b)
                yield {at: np.asarray(function(array))}, {}, named
