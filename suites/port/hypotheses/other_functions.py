"""Another function: an activation, a step of Euler's in place of the exact one, a mask that is not used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.formulas import ACTIVATIONS, may_be
from suites.port.hypotheses.layers import spoken
from suites.port.hypotheses.moves import Change, floats
from suites.port.hypotheses.other_numbers import written
from suites.port.hypotheses.program import Array, Program, Step
from suites.port.hypotheses.question import Question
from suites.port.hypotheses.wording import describe_entry, where


def other_masks(question: Question, program: Program) -> Iterator[Change]:
    """A mask that comes in is ignored, or taken the other way round."""
    for entry in question.a.entries:
        values = np.unique(entry.array)
        if entry.array.ndim < 2 or len(values) != 2 or not np.array_equal(values.astype(float), [0.0, 1.0]):
            continue
        subject = f"the mask ({describe_entry(entry)})"
        yield {entry.id: np.ones_like(entry.array)}, {}, cause("mask", subject, "uses it", "ignores it")
        turned = np.asarray(1 - entry.array.astype(float)).astype(entry.array.dtype)
        yield {entry.id: turned}, {}, cause("mask", subject, "uses it as it is", "uses it inverted")


def other_activations(question: Question, program: Program) -> Iterator[Change]:
    """A function of one value, by whatever operations, is another one."""
    for step, y in floats(program):
        ancestors = {at for each in program.before(step.at)[-12:] for at in each.ids}
        for at in sorted(ancestors):
            x = program.values[at]
            name = _activation(x, y) if x.shape == y.shape and x.dtype.kind == "f" else ""
            if not name:
                continue
            for other, function in ACTIVATIONS.items():
                if other != name and may_be(other, x):
                    named = cause("activation", "activation", spoken(name), spoken(other))
                    yield {step.at: np.asarray(function(x))}, {}, named


def _activation(x: Array, y: Array) -> str:
    norm = float(np.linalg.norm(y))
    if not math.isfinite(norm):  # a mask is no function of one value
        return ""
    for name, function in ACTIVATIONS.items():
        if not may_be(name, x):
            continue
        if name != "linear" and norm and float(np.linalg.norm(function(x) - y)) <= 1e-9 * norm:
            return name
    return ""


def linearised(question: Question, program: Program) -> Iterator[Change]:
    """exp(x) as 1 + x: a step of Euler's in place of the exact one. In a loop all of its steps at once."""
    lines: dict[tuple[str, str], list[Step]] = {}
    for step in program.steps:
        lines.setdefault((step.name, step.op.line if step.op is not None else ""), []).append(step)
    for (name, _), steps in lines.items():
        if name == "exp":
            named = cause("linearised", f"function{where(steps[0])}", "exp(x)", "1 + x")
            yield {}, {step.at: replace(step, function=_one_more) for step in steps}, named
        places = [place for step in steps for place, number in written(step) if number == 1.0]
        if name == "add" and len(places) == len(steps):
            others = [partial(_exponential, 1 - place) for place in places]
            changed = {step.at: replace(step, function=other) for step, other in zip(steps, others, strict=True)}
            yield {}, changed, cause("linearised", f"function{where(steps[0])}", "1 + x", "exp(x)")


def _one_more(arrays: Sequence[Array]) -> Array:
    return np.asarray(1 + arrays[0])


def _exponential(place: int, arrays: Sequence[Array]) -> Array:
    return np.asarray(np.exp(arrays[place]))
