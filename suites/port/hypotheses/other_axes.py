"""Softmax and reductions over other axes, by another name, or with weights that are all alike."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.moves import Change
from suites.port.hypotheses.named_meanings import UNARY
from suites.port.hypotheses.program import REDUCTIONS, Array, Program, Step
from suites.port.hypotheses.question import Question
from suites.port.hypotheses.wording import describe, describe_entry


def other_axes(question: Question, program: Program) -> Iterator[Change]:
    """Of a softmax or a reduction."""
    for step in program.steps:
        if not step.axis or not step.ids or step.name not in (*REDUCTIONS, *UNARY):
            continue
        x = program.values[step.ids[0]]
        if not x.size:
            continue
        own = tuple(axis % x.ndim for axis in step.axis)
        keep = program.values[step.at].ndim == x.ndim
        for axes in itertools.combinations(range(x.ndim), len(own)):
            if axes != own:
                a, b = (f"over {_axes(each)} of {x.shape}" for each in (own, axes))
                yield {step.at: _again(step.name, x, axes, keep)}, {}, cause("axis", step.name, a, b)
        for name in REDUCTIONS:
            if step.name in REDUCTIONS and name != step.name:
                other = REDUCTIONS[name](x, axis=own, keepdims=keep)
                yield {step.at: other}, {}, cause("reduction", f"over {_axes(own)} of {x.shape}", step.name, name)


def all_alike(question: Question, program: Program) -> Iterator[Change]:
    """What weights that sum to 1 mix is taken alike."""
    yield from _entry_alike(question)
    for step in program.steps:
        if step.name == "softmax" and step.axis and step.ids:
            x = program.values[step.ids[0]]
            yield from _uniform(step, x, tuple(axis % x.ndim for axis in step.axis))


def _uniform(step: Step, x: Array, own: tuple[int, ...]) -> Iterator[Change]:
    """What a softmax weighs is taken alike: its mean, or its sum."""
    for weight, words in ((1 / x.shape[own[0]], "all alike: their mean"), (1.0, "none: their sum")):
        named = cause("weights", f"weights of {describe(step)}", "the softmax", words)
        yield {step.at: np.full(x.shape, weight)}, {}, named


def _entry_alike(question: Question) -> Iterator[Change]:
    """The same of weights that come in: rows that sum to 1."""
    for entry in question.a.entries:
        x = entry.array
        if x.ndim < 1 or x.dtype.kind != "f" or x.shape[-1] < 2 or x.min() < 0 or not np.allclose(x.sum(-1), 1.0):
            continue
        for weight, words in ((1 / x.shape[-1], "all alike: their mean"), (1.0, "none: their sum")):
            named = cause("weights", f"weights that sum to 1 ({describe_entry(entry)})", "those", words)
            yield {entry.id: np.full(x.shape, weight)}, {}, named


def _axes(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"


def _again(name: str, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
    if name in REDUCTIONS:
        return np.asarray(REDUCTIONS[name](x, axis=axes, keepdims=keep))
    moved = np.moveaxis(x, axes[0], -1)
    return np.asarray(np.moveaxis(UNARY[name](moved), -1, axes[0]))
