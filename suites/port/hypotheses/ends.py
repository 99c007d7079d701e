"""Which step of a bidirectional layer is taken: the backward direction ends at the first step, not at the last."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from suites.port.hypotheses.question import Cause, Question, same

FINAL = "its final state (which stands at the first step)"
LAST = "what stands at the last step (the first that it computed)"


def explain_ends(question: Question) -> list[Cause]:
    """B takes the last step of both directions and A each one's final state, or the reverse."""
    template = "backward direction of a recurrent layer: A takes {a}, B takes {b}"
    if taken_last(question):
        return [Cause("backward_step", template, FINAL, LAST)]
    if taken_last(question.swapped()):
        return [Cause("backward_step", template, LAST, FINAL)]
    return []


def taken_last(question: Question) -> bool:
    """Whether A's numbers come out if B's backward half is taken at the first step in place of the last."""
    for sequence in sequences(question):
        half = sequence.shape[-1] // 2
        ends = np.concatenate([sequence[:, -1, :half], sequence[:, 0, half:]], axis=-1)
        last = same(sequence[:, -1], question.b.exit, question.tolerance)
        if last and same(ends, question.a.exit, question.tolerance):
            return True
    return False


def sequences(question: Question) -> Iterator[np.ndarray]:
    """Values of B of shape (N, T, C) whose last step may be what it gives."""
    size = question.b.exit.size
    for array in question.b.values.values():
        if array.ndim == 3 and array.dtype.kind == "f" and array.shape[1] and array.size // array.shape[1] == size:
            yield array
