"""The same numbers in another arrangement: what comes in agrees as a set, and no order of axes makes it the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from suites.port.hypotheses import moves
from suites.port.hypotheses.causes import cause
from suites.port.hypotheses.interpreter import understand
from suites.port.hypotheses.question import Cause, Entry, Question, same

Array = np.ndarray
LONGEST = 512  # slices of an axis whose order is looked for


def other_arrangement(question: Question) -> list[Cause]:
    """B hands on what A does, with places exchanged: heads tiled, a reshape without its transposition."""
    pairs = list(differing(question))
    if not pairs:
        return []
    found = understand(question.a).result({ours.id: theirs.reshape(ours.array.shape) for ours, theirs in pairs})
    if found is None or not question.agrees(found):
        return []
    for ours, theirs in pairs:
        words = arranged(ours.array.reshape(theirs.shape), theirs)
        if words is not None:
            subject, a, b = words
            return [cause("arrangement", f"{subject} of {ours.origin or 'what comes in'}, {theirs.shape}", a, b)]
    return []


def differing(question: Question) -> Iterator[tuple[Entry, Array]]:
    """Entries of A with those of B that hold the same numbers in another arrangement."""
    for entry in question.a.entries:
        if entry.array.dtype.kind != "f":
            continue
        fitting = [other.array for other in question.b.entries if same_numbers(entry.array, other.array)]
        if fitting and not any(same(entry.array, other, question.tolerance) for other in fitting):
            yield entry, fitting[0]


def same_numbers(a: Array, b: Array) -> bool:
    return a.size == b.size and equal_elements(np.sort(np.ravel(a)), np.sort(np.ravel(b)))


def arranged(a: Array, b: Array) -> tuple[str, str, str] | None:
    """(what, how A has it, how B has it)."""
    for axis in range(a.ndim):
        order = _order(a, b, axis)
        if order is None:
            continue
        if moves.repeats(a, axis) and not moves.repeats(b, axis):
            return "heads of keys and values", "repeats each", "tiles all of them"
        if moves.repeats(b, axis) and not moves.repeats(a, axis):
            return "heads of keys and values", "tiles all of them", "repeats each"
        return f"axis {axis}", "as it is", f"in the order {', '.join(map(str, order[:12]))}"
    for found, words in moves.rearranged(a, b):
        if equal_elements(found, b):
            return "arrangement", "as it is", words
    for found, words in moves.rearranged(b, a):
        if equal_elements(found, a):
            return "arrangement", words, "without that"
    return None


def equal_elements(a: Array, b: Array) -> bool:
    return bool(np.allclose(a, b, rtol=1e-9, atol=1e-12))


def _order(a: Array, b: Array, axis: int) -> list[int] | None:
    """The order in which A's slices along an axis are B's."""
    if a.shape[axis] > LONGEST:
        return None
    ours, theirs = (np.moveaxis(side, axis, 0).reshape(side.shape[axis], -1) for side in (a, b))
    distances = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
    if (distances.min(0) > 1e-9 * np.linalg.norm(theirs, axis=-1)).any():
        return None
    return [int(at) for at in distances.argmin(0)]
