"""A mask that one side puts on a value, the diagonal of similarities say, and the other one does not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.moves import Change, floats
from suites.port.hypotheses.program import Array, Program
from suites.port.hypotheses.question import Question
from suites.port.hypotheses.wording import describe

FAR = -1e3  # what is below counts for nothing in a softmax


def mask_left_out(question: Question, program: Program) -> Iterator[Change]:
    """Places that A sets to a number far below all others, as a softmax is told to leave them out, are kept."""
    for step, y in floats(program):
        for at in step.ids:
            x = program.values[at]
            if x.shape != y.shape or x.dtype.kind != "f":
                continue
            away = x != y
            if away.any() and not away.all() and np.isfinite(x).all() and (y[away] < np.minimum(x.min(), FAR)).all():
                subject = f"{describe(step)} at {places(away)}"
                yield {step.at: x}, {}, cause("mask", subject, "leaves these out", "keeps them")


def places(away: Array) -> str:
    """Where a mask lies, in words."""
    rows, columns = away.shape[-2:] if away.ndim > 1 else (1, 0)
    square = np.eye(rows, columns, dtype=bool)
    for words, table in (
        ("the diagonal", square),
        ("what is above the diagonal", np.triu(np.ones((rows, columns), bool), 1)),
        ("what is not on the diagonal", ~square),
    ):
        if columns and np.array_equal(away, np.broadcast_to(table, away.shape)):
            return words
    return f"{int(away.sum())} of {away.size} places"
