"""An operation that the other side applies at another place, a scale behind a cap say; a norm with another epsilon."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from suites.port.hypotheses.causes import cause, short, unlike
from suites.port.hypotheses.meanings import normalisations
from suites.port.hypotheses.moves import Change
from suites.port.hypotheses.program import NOT_COMPUTABLE, Array, Program, Step
from suites.port.hypotheses.question import Cause, Question
from suites.port.hypotheses.wording import describe, line_of
from suites.port.recording import Op

MOST = 60  # steps of a region
SILENT = ("identity", "cast", "stopgradient", "broadcast")


def moved_step(question: Question, program: Program) -> Iterator[Change]:
    """A step of one value, or of a value and a number, left out where it is and applied to a later one."""
    if len(program.steps) > MOST:
        return
    for step in program.steps:
        if not movable(program, step):
            continue
        source = step.ids[0]
        without = values_with(program, {step.at: program.values[source]})
        for later in behind(program, step):
            if later.at in without and later.at != step.at:
                other = applied(step, without[later.at])
                if other is not None and other.shape == program.values[later.at].shape:
                    changed = {step.at: program.values[source], later.at: other}
                    yield changed, {}, partial(in_words, step, later)


NORMS = ("layer_norm", "group_norm", "instance_norm")
EPSILONS = (1e-5, 1e-6, 1e-3, 1e-12, 1e-8, 1e-7)


def other_epsilons(question: Question, program: Program) -> Iterator[Change]:
    """A norm that is one operation, with the epsilon of a norm of the other side, or one that libraries have."""
    theirs = [epsilon_of(op) for op in question.b.ops if epsilon_of(op)]
    for step in program.steps:
        own = epsilon_of(step.op) if step.op is not None and step.name in NORMS else 0.0
        groups = step.op.attributes.get("groups") if step.op is not None else None
        arrays = [program.values[each] if isinstance(each, int) else each for each in step.inputs]
        for other in dict.fromkeys([*theirs, *EPSILONS]) if own else ():
            made = normalisations(step.name, other, groups, arrays)
            function = next((function for _, _, function, axes in made if axes == step.axis), None)
            if other != own and function is not None:
                named = cause("epsilon", f"epsilon of {describe(step)}", *unlike(own, other))
                yield {}, {step.at: replace(step, function=function)}, named


def epsilon_of(op: Op) -> float:
    value = op.attributes.get("epsilon")
    return float(value) if isinstance(value, float) else 0.0


def movable(program: Program, step: Step) -> bool:
    if len(step.ids) != 1 or step.moves or step.name in SILENT or step.at not in program.values:
        return False
    constants = [each for each in step.inputs if not isinstance(each, int)]
    y = program.values[step.at]
    alike = program.values[step.ids[0]].shape == y.shape
    return alike and y.dtype.kind == "f" and y.size > 1 and all(each.size == 1 for each in constants)


def applied(step: Step, array: Array) -> Array | None:
    try:
        with np.errstate(all="ignore"):
            return step.run({step.ids[0]: array})
    except NOT_COMPUTABLE:
        return None


def values_with(program: Program, changed: Mapping[int, Array]) -> dict[int, Array]:
    """Every value that follows from changed ones, up to the first that can't be computed."""
    found = dict(changed)
    with contextlib.suppress(*NOT_COMPUTABLE):
        found.update(program.follow(changed))
    return found


def behind(program: Program, step: Step) -> list[Step]:
    """The steps that follow from a step, in order."""
    found, reached = [], {step.at}
    for later in program.steps:
        if reached.intersection(later.ids) and later.at not in reached:
            reached.add(later.at)
            found.append(later)
    return found


def in_words(step: Step, later: Step) -> Cause:
    numbers = [short(float(np.ravel(each)[0])) for each in step.inputs if not isinstance(each, int)]
    what = f"{step.name} {numbers[0]}" if numbers else step.name
    return cause("step_place", f"place of {what}{line_of(step)}", f"before {describe(later)}", "behind it")
