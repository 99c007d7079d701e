"""What can be tried on any output: a constant factor, an axis that is reversed, shifted or in another order."""

from __future__ import annotations

import itertools
import math

import numpy as np

from suites.port.hypotheses.causes import cause, nice, short, spell, whole_form
from suites.port.hypotheses.formulas import ACTIVATIONS, MOVES, may_be
from suites.port.hypotheses.question import Cause, Question

Array = np.ndarray
MOST_AXES = 5
SHORTEST = 2  # of an axis whose order can differ
WRITTEN = 1e-9  # relative: as near is a number to one that somebody wrote


def explain_exit(question: Question) -> list[Cause]:
    """B's result is A's after one more thing."""
    a, b = question.a.exit, question.b.exit
    if a.size != b.size or not a.size:
        return []
    orders = (moved_axis, permuted_axis)
    for hypothesis in (constant_factor, constant, followed, *orders, reshaped) if a.dtype.kind == "f" else orders:
        found = hypothesis(question, a, b)
        if found:
            return found
    return []


def constant_factor(question: Question, a: Array, b: Array) -> list[Cause]:
    """Measured by the norms, with the sign tried."""
    norm = float(np.linalg.norm(a))
    if not norm:
        return []
    size = float(np.linalg.norm(b)) / norm
    for ratio in (size, -size):
        if ratio not in (0.0, 1.0) and says_something(a, ratio) and question.agrees(ratio * a):
            return [cause("factor", "result", "as it is", f"times {spell(ratio, sizes(question))}")]
    return []


def says_something(a: Array, number: float) -> bool:
    """Whether a number turns one array into another by more than chance: of one element, any number would."""
    return a.size > 1 or math.isclose(number, nice(number, 2), rel_tol=WRITTEN) or bool(whole_form(number))


def sizes(question: Question) -> list[tuple[int, str]]:
    """Numbers that a factor may come from."""
    shape = question.a.exit.shape
    names = {0: "examples", len(shape) - 1: "width"}
    found = [(n, names.get(at, "length")) for at, n in enumerate(shape)]
    return sorted(found, key=lambda pair: pair[1] != "width")


def constant(question: Question, a: Array, b: Array) -> list[Cause]:
    difference = float(b.mean() - a.mean())
    if difference and says_something(a, difference) and question.agrees(a + difference):
        return [cause("constant", "result", "as it is", f"plus {short(difference)}")]
    return []


def followed(question: Question, a: Array, b: Array) -> list[Cause]:
    for name, function in ACTIVATIONS.items():
        if name not in ("linear", "leaky_relu") and may_be(name, a) and question.agrees(function(a)):
            return [cause("then", "what follows", "leaves the result as it is", f"applies {name} to it")]
    return []


def moved_axis(question: Question, a: Array, b: Array) -> list[Cause]:
    for axis, (name, move) in itertools.product(range(a.ndim), MOVES.items()):
        if a.shape[axis] >= SHORTEST and question.agrees(move(a, axis)):
            return [cause("axis_order", f"axis {axis} of {a.shape}", "as it is", name)]
    return []


def permuted_axis(question: Question, a: Array, b: Array) -> list[Cause]:
    """Slices of an axis in another order: matched by what does not depend on their place."""
    if a.shape != b.shape:
        return []
    for axis in range(a.ndim):
        ours, theirs = (np.moveaxis(side, axis, 0).reshape(side.shape[axis], -1) for side in (a, b))
        distances = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
        order = distances.argmin(0)
        if sorted(order) == list(range(len(order))) and question.agrees(a.take(order, axis)):
            listed = ", ".join(map(str, order[:12])) + (", ..." if len(order) > 12 else "")
            what = "the examples" if axis == 0 else f"axis {axis} of {a.shape}"
            name, plain = ("example_order", "as they come") if axis == 0 else ("axis_order", "as it is")
            return [cause(name, what, plain, f"in the order {listed}")]
    return []


def reshaped(question: Question, a: Array, b: Array) -> list[Cause]:
    """The same numbers, read in another order of axes: a reshape where a transposition belongs."""
    if a.ndim > MOST_AXES or math.prod(a.shape[1:]) < 2:
        return []
    for axes in itertools.permutations(range(1, a.ndim)):
        turned = a.transpose(0, *axes)
        if axes != tuple(range(1, a.ndim)) and question.agrees(np.ascontiguousarray(turned).reshape(a.shape)):
            b_words = f"axes in the order {(0, *axes)}, reshaped to the same shape"
            return [cause("reshape", f"result of shape {a.shape}", "as it is", b_words)]
    return []
