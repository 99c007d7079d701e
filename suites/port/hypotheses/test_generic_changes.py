"""One number, operation, operand or order of a tiny side in NumPy is another one: tried generically, and named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from suites.port.hypotheses import explain_formula, explain_place, explain_region
from suites.port.hypotheses.question import Entry, Part, Question
from suites.port.recording import Operand
from suites.port.testing.tapes import UNIT, Tape, question, softmax, words

Array = np.ndarray
RNG = np.random.default_rng(0)
HEAD = RNG.normal(size=(2, 2, 5, 3))
IMAGE = RNG.normal(size=(2, 8, 3, 3))
HALVES = RNG.normal(size=(3, 6))


def shuffled(axes: tuple[int, ...], parts: tuple[int, ...]) -> Part:
    """Channels of (2, 8, 3, 3) as blocks of two by two places."""
    tape = Tape()
    x = tape.given(IMAGE)
    split = tape.op("reshape", IMAGE.reshape(2, *parts, 3, 3), x)
    turned = tape.op("transpose", tape.values[split].transpose(axes), split)
    tape.op("reshape", tape.values[turned].reshape(2, 2, 6, 6), turned)
    return tape.part(x)


def test_a_pixel_shuffle_is_told_by_the_order_of_its_channels() -> None:
    """Both orders are written by hand as often as by nn.PixelShuffle."""
    ours = shuffled((0, 3, 4, 1, 5, 2), (2, 2, 2))
    theirs = shuffled((0, 1, 4, 2, 5, 3), (2, 2, 2))
    found = words(ours, theirs)
    assert found.startswith("channels of the pixel shuffle: A as (r, r, C)") and "B as (C, r, r)" in found


def capped(cap: float) -> Part:
    """A soft cap: one number at two places."""
    tape = Tape()
    x = tape.given(HEAD)
    divided = tape.op("divide", HEAD / cap, x, cap)
    bent = tape.op("tanh", np.tanh(tape.values[divided]), divided)
    tape.op("multiply", cap * tape.values[bent], bent, cap)
    return tape.part(x)


def guarded(add: bool) -> Part:
    tape = Tape()
    x = tape.given(np.abs(HEAD))
    guard = tape.values[x] + 0.5 if add else np.maximum(tape.values[x], 0.5)
    inner = tape.op("add" if add else "maximum", guard, x, 0.5)
    tape.op("log", np.log(guard), inner)
    return tape.part(x)


def gated(turned: bool) -> Part:
    """The halves of a gated linear unit."""
    tape = Tape()
    x = tape.given(HALVES)
    halves = [tape.op("slice", part, x) for part in np.split(HALVES, 2, -1)]
    gate = tape.op("sigmoid", 1 / (1 + np.exp(-tape.values[halves[1 - turned]])), halves[1 - turned])
    tape.op("multiply", tape.values[halves[turned]] * tape.values[gate], halves[turned], gate)
    return tape.part(x)


def windowed(window: Array) -> Part:
    tape = Tape(tables={})
    x = tape.given(np.random.default_rng(2).normal(size=(3, 20)))
    at = tape.given(window)
    tape.op("multiply", tape.values[x] * window, x, at)
    part = tape.part(x)
    op = part.ops[0]
    written = Operand(literal=window.tolist())
    return replace(part, ops=(replace(op, inputs=(op.inputs[0], written)),))


def linked(turned: bool) -> Part:
    tape = Tape(tables={})
    adjacency, x = (tape.given(np.random.default_rng(3).normal(size=(2, 4, n))) for n in (4, 3))
    matrix = tape.values[adjacency]
    tape.op("matmul", (matrix.swapaxes(1, 2) if turned else matrix) @ tape.values[x], adjacency, x)
    part = tape.part(adjacency, x)
    return replace(part, ops=tuple(replace(op, name="einsum") for op in part.ops)) if turned else part


def sorted_ids(order: Sequence[int]) -> Part:
    tape = Tape(tables={})
    x = tape.given(np.random.default_rng(4).integers(1, 99, (4, 5)))
    tape.op("slice", tape.values[x][list(order)], x)
    return tape.part(x)


def discretised(exact: bool) -> Part:
    """A loop of two steps, h = f(x) h + 1, with exp(x) or with Euler's 1 + x."""
    tape = Tape(tables={})
    x, h = (tape.given(np.random.default_rng(5).normal(size=(3, 4))) for _ in range(2))
    for _ in range(2):
        array = tape.values[x]
        factor = tape.op("exp", np.exp(array), x) if exact else tape.op("add", 1 + array, x, 1.0)
        moved = tape.op("multiply", tape.values[factor] * tape.values[h], factor, h)
        h = tape.op("subtract", tape.values[moved] - 2.0, moved, 2.0)
    part = tape.part(x, 1)
    return replace(part, ops=tuple(replace(op, line="x.py:0") for op in part.ops))


def mixed(weighted: bool) -> Part:
    """Experts weighted by a gate, or their mean."""
    tape = Tape(tables={})
    rng = np.random.default_rng(6)
    gates, experts = tape.given(softmax(rng.normal(size=(5, 2)))), tape.given(rng.normal(size=(5, 2, 3)))
    if weighted:
        scaled = tape.op("einsum", np.einsum("nk,nkd->nd", tape.values[gates], tape.values[experts]), gates, experts)
        tape.op("tanh", np.tanh(tape.values[scaled]), scaled)
    else:
        mean = tape.op("mean", tape.values[experts].mean(1), experts)
        tape.op("tanh", np.tanh(tape.values[mean]), mean)
    part = tape.part(gates, experts)
    equation = {"first": "nk,nkd->nd"}
    return replace(part, ops=tuple(replace(op, attributes=equation) if op.name == "einsum" else op for op in part.ops))


def tempered(divides: bool) -> Part:
    """Similarities times a temperature, or divided by it."""
    tape = Tape(tables={})
    rng = np.random.default_rng(7)
    x, scale = tape.given(rng.normal(size=(4, 5))), tape.given(np.exp(rng.normal(size=(4, 1))))
    made = tape.values[x] / tape.values[scale] if divides else tape.values[x] * tape.values[scale]
    tape.op("divide" if divides else "multiply", made, x, scale)
    return tape.part(x, scale)


GENERIC = {
    "soft cap s tanh(x / s) (x.py:0): A 5, B 8": (capped(5.0), capped(8.0)),
    "operation (x.py:0): A max(x, 0.5), B x + 0.5": (guarded(False), guarded(True)),
    "window in multiply (x.py:0): A periodic Hann, B symmetric Hann": (
        windowed(np.hanning(21)[:-1]),
        windowed(np.hanning(20)),
    ),
    "constants in multiply (x.py:0): A 1/2, 1/4, ": (
        windowed(0.5 ** np.arange(1, 21)),
        windowed(0.25 ** np.arange(1, 21)),
    ),
    "function of exp (x.py:0): A exp(x), B 1 + x": (discretised(True), discretised(False)),
    "operation (x.py:0): A x * y, B x / y": (tempered(False), tempered(True)),
    "weights that sum to 1 (": (mixed(True), mixed(False)),
    "square operand of matmul (x.py:0), (2, 4, 4): A as it is, B transposed": (linked(False), linked(True)),
}


def test_examples_in_another_order_are_told_by_it() -> None:
    """Sorted by their lengths for packing, and never sorted back: whole numbers as well."""
    assert "the examples: A as they come, B in the order 2, 0, 3, 1" in words(
        sorted_ids([0, 1, 2, 3]), sorted_ids([2, 0, 3, 1])
    )


def test_a_value_that_only_one_side_comes_in_by_has_a_letter_of_its_own() -> None:
    """A formula of B's was left out where it started from another value that both sides have."""
    x, squared = np.array([0.5, 2.0]), np.array([0.25, 4.0])
    parts = []
    for entry in (x, squared):
        tape = Tape()
        at = tape.given(entry)
        tape.op("subtract", 1 - entry, 1.0, at)
        parts.append(tape.part(at))
    known = replace(parts[1], entries=(Entry(0, squared, 7, "the squares"),))
    ours = replace(parts[0], entries=(Entry(0, x, None, "the output"),))
    (found,) = explain_formula(Question("loss", "output", ours, known, UNIT))
    assert "A 1 - x, B 1 - y" in found.words() and "y is the squares of B" in found.words()


def test_any_number_is_some_factor_times_another_one() -> None:
    """A loss that does something else was told as 2.504 times the loss of A, and nothing more was looked for."""
    x = np.linspace(-1.0, 2.0, 7)
    sides = []
    for name, total in (("mystery", 0.27), ("enigma", 0.677)):
        tape = Tape()
        entry = tape.given(x)
        tape.op(name, np.asarray(total), entry)
        sides.append(tape.part(entry))
    assert explain_region(Question("loss", "output", sides[0], sides[1], UNIT)) == []
    halved = replace(sides[1], exit=np.asarray(0.135), values={**sides[1].values, sides[1].exit_id: np.asarray(0.135)})
    (found,) = explain_region(Question("loss", "output", sides[0], halved, UNIT))
    assert "times 1/2" in found.words() or "times 0.5" in found.words()


@pytest.mark.parametrize("expected", GENERIC)
def test_another_number_or_operation_is_tried_generically(expected: str) -> None:
    """Only where B's numbers come out: with a third thing different as well, nothing is named so."""
    ours, theirs = GENERIC[expected]
    assert words(ours, theirs).startswith(expected)
    other = theirs.exit + RNG.normal(size=theirs.exit.shape)
    assert words(ours, replace(theirs, exit=other, values={**theirs.values, theirs.exit_id: other})) == ""


def test_halves_that_have_changed_places_are_named() -> None:
    assert "A in order, B exchanged" in words(gated(False), gated(True))


def rolled(shift: int) -> Part:
    tape = Tape()
    x = tape.given(IMAGE)
    tape.op("roll", np.roll(IMAGE, (shift, shift), (2, 3)), x)
    return tape.part(x)


def neighbours(by_rows: bool) -> Part:
    """(A + I) of a graph, normalised by the degrees of its rows, or of rows and columns."""
    tape = Tape()
    adjacency = np.random.default_rng(3).integers(0, 2, (4, 5, 5)).astype(float)
    adjacency = np.triu(adjacency, 1) + np.triu(adjacency, 1).swapaxes(1, 2) + np.eye(5)
    x = tape.given(adjacency)
    degrees = tape.given(adjacency.sum(-1, keepdims=True))
    if by_rows:
        tape.op("divide", adjacency / tape.values[degrees], x, degrees)
    else:
        root = tape.op("power", tape.values[degrees] ** -0.5, degrees, -0.5)
        half = tape.op("multiply", tape.values[root] * adjacency, root, x)
        turned = tape.op("transpose", tape.values[root].swapaxes(1, 2), root)
        tape.op("multiply", tape.values[half] * tape.values[turned], half, turned)
    return tape.part(x, degrees)


def test_the_first_place_that_differs_is_told_by_what_is_computed_there() -> None:
    """A cyclic shift by its distances, a normalisation by its sums and as a formula."""
    (shift,) = explain_place(question(rolled(-1), rolled(1)))
    assert shift.words().endswith("A by (0, 0, -1, -1), B by (0, 0, 1, 1)")
    (found,) = explain_place(question(neighbours(False), neighbours(True)))
    assert "A symmetric, " in found.words() and found.words().endswith("B each row sums to 1, x / y")
