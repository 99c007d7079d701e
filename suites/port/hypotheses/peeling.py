"""The first pair of values, one of each side, that differ and that all of the difference follows from.

B's numbers are put into A's program for one of A's values, and what follows is computed again in NumPy. Where B's
result comes out, nothing behind the pair is wrong, and the question is asked again of what lies before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from suites.port.hypotheses.causes import cause as told
from suites.port.hypotheses.interpreter import understand
from suites.port.hypotheses.program import Program
from suites.port.hypotheses.question import Cause, Part, Question, same
from suites.port.hypotheses.relations import laid_alike, progression, relation

Array = np.ndarray
LONGEST = 400  # operations of a program that is computed again
LARGEST = 100_000  # elements
MOST = 600  # pairs that are tried
WORK = 3e8  # numbers that are computed again, in all pairs together
Asking = Callable[[Question], list[Cause]]


def peeled(question: Question, ask: Asking, spell: Asking) -> list[Cause]:
    """The cause at the first such pair: what the hypotheses call it, a measured relation, or both formulas."""
    program = understand(question.a)
    if len(program.steps) > LONGEST or question.a.exit.size > LARGEST:
        return []
    found = first_pair(question, program)
    return named(question, *found, ask, spell) if found is not None else []


def named(question: Question, at: int, other: int, turned: Array, ask: Asking, spell: Asking) -> list[Cause]:
    smaller = cut(question, at, other)
    ours = question.a.values[at]
    constant = not depends(question.a, at) and not depends(question.b, other)
    causes = [] if constant else ask(smaller)
    if causes:
        return causes
    found = relation(ours, turned, lambda made: same(made, turned, question.tolerance))
    if found is not None:
        return [found.cause(f"{'constants' if constant else 'result'} of {place(smaller.a)}")]
    if constant:
        return [told("constants", f"constants of {place(smaller.a)}", progression(ours), progression(turned))]
    return spell(smaller)


def place(part: Part) -> str:
    """The operation at which a side ends, and its line."""
    last = part.ops[-1]
    return last.name + (f" ({last.line})" if last.line else "")


def first_pair(question: Question, program: Program) -> tuple[int, int, Array] | None:
    """A's value, B's value and its numbers as A lays them out."""
    later = behind(program)
    most = min(MOST, int(WORK / max(sum(program.values[step.at].size for step in program.steps), 1)))
    tried = 0
    for at, other, turned in pairs(question):
        if at not in later:
            continue
        tried += 1
        if tried > most:
            return None
        found = program.result({at: turned})
        if found is not None and question.agrees(found):
            return at, other, turned
    return None


def behind(program: Program) -> set[int]:
    """The values that the exit depends on, without the exit."""
    return {at for step in program.before(program.exit_id) for at in step.ids}


def pairs(question: Question) -> Iterator[tuple[int, int, Array]]:
    """A's values with those of B that hold as many numbers and not the same ones, in A's order, then in B's."""
    theirs = [each for each in computed(question.b) if each[0] != question.b.exit_id]
    for at, ours in computed(question.a):
        if at == question.a.exit_id or ours.dtype.kind not in "fic" or ours.size < 2:
            continue
        for other, array in theirs:
            if array.dtype.kind == ours.dtype.kind and slim(array) == slim(ours):
                yield from ((at, other, turned) for turned in unlike(question, ours, array))


def unlike(question: Question, ours: Array, theirs: Array) -> Iterator[Array]:
    """B's numbers as A lays them out, where they are others."""
    if ours.dtype.kind == "i":
        turned = theirs.reshape(ours.shape)
        yield from () if np.array_equal(ours, turned) else (turned,)
    elif not same(ours, theirs, question.tolerance):
        yield from laid_alike(ours, theirs)


def computed(part: Part) -> list[tuple[int, Array]]:
    return [(at, part.values[at]) for op in part.ops for at in op.outputs if at in part.values]


def slim(array: Array) -> list[int]:
    return sorted(n for n in array.shape if n != 1)


def depends(part: Part, at: int) -> bool:
    """Whether a value is computed from what comes in, or from weights."""
    inside = reached(part, at)
    read = any(op.weights for op in part.ops if inside.intersection(op.outputs))
    return read or any(each.id in inside for each in part.entries)


def reached(part: Part, at: int) -> set[int]:
    """All values that a value is made of, and itself."""
    made = {value: op for op in part.ops for value in op.outputs}
    found: set[int] = set()
    waiting = [at]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += made[each].values if each in made else []
    return found


def cut(question: Question, ours: int, theirs: int) -> Question:
    """The question of what lies before a pair of values."""
    return replace(question, kind="between", a=ended(question.a, ours), b=ended(question.b, theirs), layer=None)


def ended(part: Part, at: int) -> Part:
    """A side up to one of its values."""
    inside = reached(part, at)
    ops = tuple(op for op in part.ops if inside.intersection(op.outputs))
    entries = tuple(entry for entry in part.entries if entry.id in inside)
    return replace(part, ops=ops, entries=entries, exit_id=at, exit=part.values[at], call=None)
