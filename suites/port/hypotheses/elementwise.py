"""Activations by their numbers, whatever an engine calls them and of how many operations it makes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from suites.port.hypotheses.causes import cause, nice, short
from suites.port.hypotheses.formulas import ACTIVATIONS, log_softmax, may_be, softmax
from suites.port.hypotheses.layers import spoken
from suites.port.hypotheses.question import Cause, Entry, Part, Question, same

Array = np.ndarray
PLACES = 2  # at which the same two functions stand for each other


def activations(question: Question) -> list[Cause]:
    """Both sides apply a function to the same value, element by element."""
    for entry in question.a.entries:
        if entry.array.dtype.kind != "f":
            continue
        a, b = (named(entry.array, part, question.tolerance) for part in (question.a, question.b))
        if a and b and a != b:
            return [cause("activation", "activation", a, b)]
    return []


def inner_activations(question: Question) -> list[Cause]:
    """The same two functions at several places of a region, as the gates of a recurrent cell that is written out."""
    found = []
    for entry in question.a.entries:
        partner = next((other for other in question.b.entries if entry.partner == other.id), None)
        if partner is None or entry.array.dtype.kind != "f":
            continue
        a, b = applied(entry, question.a, question.tolerance), applied(partner, question.b, question.tolerance)
        if a and b and a != b:
            found.append((a, b))
    if len(found) < PLACES or len(set(found)) > 1:
        return []
    return [cause("activation", f"activation at {len(found)} places and what follows them", *found[0])]


def applied(entry: Entry, part: Part, tolerance: float) -> str:
    """The function of what comes in that is the last of the values which depend on nothing else; "" where none is."""
    alone = [entry.id]
    for op in part.ops:
        if op.values and not op.weights and all(at in alone for at in op.values):
            alone += op.outputs
    for at in reversed(alone[1:]):
        name = named(entry.array, replace(part, exit=part.values[at]), tolerance) if at in part.values else ""
        if name and name != spoken("linear"):
            return name
    return ""


def named(x: Array, part: Part, tolerance: float) -> str:
    """The function of x that gives what the side gives, up to the order of axes; "" where none does."""
    y = part.exit
    if x.size != y.size:
        return ""
    for name, function in ACTIVATIONS.items():
        if not may_be(name, x):
            continue
        if name != "leaky_relu" and same(function(x), y, tolerance):  # its slope is measured below
            over = f" over axis {x.ndim - 1} of {x.shape}" if name in ("softmax", "log_softmax") else ""
            return spoken(name) + over
    for axis in range(x.ndim - 1):
        if same(softmax(x, axis), y, tolerance):
            return f"softmax over axis {axis} of {x.shape}"
        if same(log_softmax(x, axis), y, tolerance):
            return f"log_softmax over axis {axis} of {x.shape}"
    return _leaky(x, y, tolerance)


def _leaky(x: Array, y: Array, tolerance: float) -> str:
    """A slope for negative values, measured by the sums of both signs."""
    below = float(np.minimum(x, 0).sum())
    slope = nice((float(y.sum()) - float(np.maximum(x, 0).sum())) / below) if below else float("nan")
    if np.isfinite(slope) and same(np.where(x > 0, x, slope * x), y, tolerance):
        return f"leaky ReLU with slope {short(slope)}"
    return ""
