"""What A's operations read: another value of the same shape, in another order, turned, joined otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.left_out import SQUASHING
from suites.port.hypotheses.moves import Change
from suites.port.hypotheses.program import Array, Program, Step
from suites.port.hypotheses.question import Cause, Question, same
from suites.port.hypotheses.relations import progression, relation
from suites.port.hypotheses.wording import describe, describe_entry, describe_value

MEASURED = 1e-9  # relative: what two constants may be off and be a multiple of each other
COMMUTING = ("add", "multiply", "maximum", "minimum", "concatenate", "equal", "not_equal")


def joined_otherwise(question: Question, program: Program) -> Iterator[Change]:
    """The parts of a concatenation in another order; of several in the same one, as keys and values behind a cache."""
    alike: dict[tuple[int, tuple[int, ...]], dict[int, tuple[Step, Array]]] = {}
    for step, axis, order, other in other_joins(program):
        b = f"in the order {', '.join(str(i + 1) for i in order)}"
        yield {step.at: other}, {}, cause("concatenation", f"parts of {describe(step)}", "in order", b)
        alike.setdefault((axis, order), {})[step.at] = step, other
    for (_, order), steps in alike.items():
        if len(steps) > 1:
            b = f"in the order {', '.join(str(i + 1) for i in order)}"
            parts = " and of ".join(describe(step) for step, _ in steps.values())
            named = cause("concatenation", f"parts of {parts}", "in order", b)
            yield {at: other for at, (_, other) in steps.items()}, {}, named


def other_joins(program: Program) -> Iterator[tuple[Step, int, tuple[int, ...], Array]]:
    """A concatenation, its axis, another order of its parts, and what that gives."""
    for step in program.steps:
        if step.name not in ("concatenate", "stack") or not 1 < len(step.ids) < 5:
            continue
        if program.values[step.at].dtype.kind != "f":  # places in a table: what is exchanged is the table's axes
            continue
        arrays, wanted = [program.values[at] for at in step.ids], program.values[step.at]
        for axis, order in itertools.product(range(wanted.ndim), itertools.permutations(range(len(arrays)))):
            whole = sum(array.shape[axis] for array in arrays if array.ndim == wanted.ndim)
            if whole == wanted.shape[axis] and order != tuple(range(len(arrays))):
                yield step, axis, order, np.concatenate([arrays[i] for i in order], axis)


def other_operands(question: Question, program: Program) -> Iterator[Change]:
    """Another value of the same shape: a residual from the wrong tensor, two operands exchanged."""
    pool = {entry.id: (entry.array, describe_entry(entry)) for entry in question.a.entries}
    theirs = [(entry.array, describe_entry(entry)) for entry in question.b.entries]
    for step in program.steps:
        if step.name in SQUASHING or step.name in ("identity", "cast"):
            continue
        for place, at in enumerate(step.inputs):
            if not isinstance(at, int) or program.values[at].dtype.kind != "f":
                continue
            own = describe_value(program, question, at)
            for array, name in _instead(program, step, at, pool, theirs):
                inputs = tuple(array if i == place else each for i, each in enumerate(step.inputs))
                named = partial(
                    _operands_in_words, f"operand of {describe(step)}", (own, program.values[at]), (name, array)
                )
                yield {}, {step.at: replace(step, inputs=inputs)}, named
        yield from _in_another_order(program, step, question)


def _operands_in_words(subject: str, ours: tuple[str, Array], theirs: tuple[str, Array]) -> Cause:
    """Two values by their names; by what was measured between them where they have none of their own."""
    if ours[0] == theirs[0]:
        found = relation(ours[1], theirs[1], lambda made: same(made, theirs[1], MEASURED))
        if found is not None:
            return found.cause(subject)
        if ours[1].shape == theirs[1].shape:
            return cause(
                "operand", subject, f"{ours[0]} ({progression(ours[1])})", f"another ({progression(theirs[1])})"
            )
    return cause("operand", subject, ours[0], theirs[0])


def transposed_operand(question: Question, program: Program) -> Iterator[Change]:
    """A square matrix that an operation reads the other way round: neighbours, transitions."""
    for step in program.steps:
        for place, each in enumerate(step.inputs):
            array = program.values[each] if isinstance(each, int) else each
            if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.shape[-1] < 2:
                continue
            subject = f"square operand of {describe(step)}, {array.shape}"
            named = cause("transposed", subject, "as it is", "transposed")
            alike = [step] if isinstance(each, int) else [s for s in program.steps if s.name == step.name]
            yield {}, {s.at: _turned(s, place, array) for s in alike if _reads(program, s, place, array)}, named


def _reads(program: Program, step: Step, place: int, array: Array) -> bool:
    """Whether an operand of a step is this array: a weight may be read again and again."""
    if place >= len(step.inputs):
        return False
    each = step.inputs[place]
    return np.array_equal(program.values[each] if isinstance(each, int) else each, array)


def _turned(step: Step, place: int, array: Array) -> Step:
    inputs = tuple(array.swapaxes(-1, -2) if i == place else other for i, other in enumerate(step.inputs))
    return replace(step, inputs=inputs)


def _instead(program: Program, step: Step, at: int, pool: dict, theirs: list) -> Iterator[tuple[Array, str]]:  # type: ignore[type-arg]
    wanted = program.values[at]
    for array, name in theirs:
        if array.shape == wanted.shape and array.dtype.kind == "f" and not np.array_equal(array, wanted):
            yield array, name
    for other, (array, name) in pool.items():
        if other != at and array.shape == wanted.shape:
            yield array, name
    for earlier in program.steps:
        if earlier.at >= step.at >= 0 or earlier.at == step.at:
            break
        array = program.values[earlier.at]
        if earlier.at != at and array.shape == wanted.shape and array.dtype.kind == "f":
            yield array, f"the result of {describe(earlier)}"


def _in_another_order(program: Program, step: Step, question: Question) -> Iterator[Change]:
    """Operands of a subtraction, a matrix product or a concatenation in another order."""
    ids = step.inputs
    if len(ids) < 2 or len(ids) > 4 or (step.name in COMMUTING and step.name != "concatenate"):
        return
    arrays = [program.values[each] if isinstance(each, int) else each for each in ids]
    if len({array.shape for array in arrays}) > 1 or any(array.size < 2 for array in arrays):
        return
    for order in itertools.permutations(range(len(ids))):
        if order != tuple(range(len(ids))):
            inputs = tuple(ids[i] for i in order)
            listed = ", ".join(str(i + 1) for i in order)
            named = cause("operand_order", f"operands of {describe(step)}", "in order", f"in the order {listed}")
            yield {}, {step.at: replace(step, inputs=inputs)}, named
