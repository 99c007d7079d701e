"""A loop that is written out, of which one line reads another value in every step: the state before its update, say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.moves import Change
from suites.port.hypotheses.program import Array, Program, Step
from suites.port.hypotheses.question import Question
from suites.port.hypotheses.wording import describe

FEWEST = 3  # steps of a loop
MOST_VALUES = 80  # rows of values, one for each step of a loop


Row = list[Step | None]
"""The steps of one line, one in each round of a loop; None in the first where no such step is needed to start."""


def other_operands_in_a_loop(question: Question, program: Program) -> Iterator[Change]:
    """An operand of all steps of a loop at once: another value of the same step, or of the one before."""
    rows = list(rows_of(program))[:MOST_VALUES]
    starts = [entry.array for entry in question.a.entries]
    for row in rows:
        last = row[-1]
        for place, at in enumerate(last.inputs if last is not None else ()):
            like = program.values[at] if isinstance(at, int) else None
            if last is None or like is None or like.dtype.kind != "f":
                continue
            for other, lag in itertools.product(rows, (0, 1)):
                chosen = values_of(other, lag, start(starts, like))
                if chosen[-1] != at and fits(program, row, other, like, lag):
                    words = told_of(program, at), told_of(program, chosen[-1]) + (", of the step before" if lag else "")
                    subject = f"operand of {describe(last)} in each step"
                    yield {}, put_in(row, place, chosen), cause("operand", subject, *words)


def values_of(row: Row, lag: int, first: Array) -> list[int | Array]:
    """What the steps of a row give, or those of the round before; what the loop starts from where there is none."""
    found: list[int | Array] = [first if step is None else step.at for step in row]
    return [first, *found[:-1]] if lag else found


def fits(program: Program, row: Row, other: Row, like: Array, lag: int) -> bool:
    """Whether values of a row may be read by another one: of that shape, and there in time."""
    source, reader = other[-1], row[-1]
    if source is None or reader is None or program.values[source.at].shape != like.shape:
        return False
    return bool(lag) or order_of(source) < order_of(reader)


def order_of(step: Step) -> int:
    return step.op.at if step.op is not None else -1


def told_of(program: Program, at: int | Array | None) -> str:
    step = program.producer(at) if isinstance(at, int) else None
    return describe(step) if step is not None else "what comes in"


def rows_of(program: Program) -> Iterator[Row]:
    """The rows of a loop whose number of rounds is that of most lines."""
    found: dict[tuple[str, str, tuple[int, ...]], list[Step]] = {}
    for step in program.steps:
        if step.op is not None and step.op.line:
            found.setdefault((step.name, step.op.line, program.values[step.at].shape), []).append(step)
    counts = [len(steps) for steps in found.values() if len(steps) >= FEWEST]
    rounds = max(set(counts), key=lambda count: (counts.count(count), count), default=0)
    for steps in found.values():
        for without in (0, 1):
            each, rest = divmod(len(steps), rounds - without) if rounds >= FEWEST else (0, 1)
            if each and not rest:
                yield from ([*[None] * without, *steps[at::each]] for at in range(each))
                break


def start(entries: Sequence[Array], like: Array) -> Array:
    """What a state starts from: a value of its shape that comes in, or zeros."""
    return next((array for array in entries if array.shape == like.shape), np.zeros_like(like))


def put_in(row: Row, place: int, chosen: Sequence[int | Array]) -> dict[int, Step]:
    changed = {}
    for step, value in zip(row, chosen, strict=True):
        if step is not None:
            inputs = tuple(value if at == place else each for at, each in enumerate(step.inputs))
            changed[step.at] = replace(step, inputs=inputs)
    return changed
