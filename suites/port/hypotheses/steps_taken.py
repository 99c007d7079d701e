"""What a model takes of a sequence: its last step, its mean, the final states of both directions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.question import Cause, Question, same

Array = np.ndarray


def other_step(question: Question) -> list[Cause]:
    """Of one sequence that either side has, both sides take something that is known, and not the same."""
    for sequence in sequences(question):
        forms = dict(taken(sequence))
        names = []
        for part in (question.a, question.b):
            found = (name for name, array in forms.items() if same(array, part.exit, question.tolerance))
            names.append(next(found, ""))
        if all(names) and names[0] != names[1]:
            return [_named(*names)]
    return []


def _named(a: str, b: str) -> Cause:
    if a == FINAL and b == LAST:
        return cause(
            "backward_step", "backward direction", "takes its final state", "takes it at the last step (its first)"
        )
    return cause("taken_step", "of the sequence", f"takes {a}", f"takes {b}")


FINAL, LAST = "the final states of both directions", "the last step"


def sequences(question: Question) -> Iterator[Array]:
    """Values (N, T, D) whose D is that of what comes out."""
    width = question.a.exit.shape[-1] if question.a.exit.ndim else 0
    for part in (question.b, question.a):
        for array in part.values.values():
            if array.ndim == 3 and array.shape[-1] == width and array.dtype.kind == "f" and array.shape[1] > 1:
                yield array


def taken(sequence: Array) -> Iterator[tuple[str, Array]]:
    half = sequence.shape[-1] // 2
    yield LAST, sequence[:, -1]
    yield FINAL, np.concatenate([sequence[:, -1, :half], sequence[:, 0, half:]], -1)
    yield "the first step", sequence[:, 0]
    yield "the mean over time", sequence.mean(1)
    yield "the maximum over time", sequence.max(1)
    yield "the sum over time", sequence.sum(1)
