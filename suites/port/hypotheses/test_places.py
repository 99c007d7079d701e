"""Distances of keys from queries, operations at another place, operands in a loop: pairs in NumPy, and their names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suites.port.hypotheses.distances import buckets, rows_in_words, slopes, window_of
from suites.port.hypotheses.question import Part
from suites.port.testing.tapes import Array, Tape, words

RNG = np.random.default_rng(4)
PLACES = np.arange(12) - np.arange(12)[:, None]  # of the key less that of the query
CAUSAL = PLACES <= 0

ROWS = {
    "T5's buckets for both directions, up to 16 places": buckets(PLACES, 8, True, 16),
    "T5's buckets for the past alone, up to 20 places": buckets(PLACES, 8, False, 20),
    "T5's buckets for both directions, of queries from keys, up to 16 places": buckets(-PLACES, 8, True, 16),
    "row 3 plus key less query, clipped at -3 and 4": np.clip(PLACES, -3, 4) + 3,
    "row 11 plus query less key": 11 - PLACES,
    "rows 3, 2, 1, 0, 1, 2, 3 for distances -3 to 3": np.abs(PLACES),
}


@pytest.mark.parametrize("told, at", ROWS.items())
def test_rows_that_the_distance_decides(told: str, at: Array) -> None:
    assert rows_in_words(at, 8) == told


def test_rows_that_it_does_not_decide() -> None:
    assert rows_in_words(PLACES * np.arange(12), 8) == "" == rows_in_words(PLACES[:3], 8)


WINDOWS = {
    "attends to the last 3 places, itself among them (a causal window)": CAUSAL & (PLACES > -3),
    "attends to 2 places to both sides (a window)": np.abs(PLACES) <= 2,
    "attends to every 3. place": PLACES % 3 == 0,
    "attends to itself alone": PLACES == 0,
    "": RNG.normal(size=(12, 12)) > 0,
}


@pytest.mark.parametrize("told, mask", WINDOWS.items())
def test_windows(told: str, mask: Array) -> None:
    assert window_of(np.broadcast_to(mask, (2, 3, 12, 12))) == told


def test_slopes_of_heads_beside_what_a_row_adds_to_all_of_its_scores() -> None:
    tilt = 2.0 ** -np.arange(1, 4)[:, None, None] * PLACES
    found = slopes(np.where(CAUSAL, tilt + RNG.normal(size=(3, 12, 1)), 0.0)[None], CAUSAL)
    assert found is not None and np.allclose(found, [0.5, 0.25, 0.125])
    assert slopes(tilt[None] ** 2, CAUSAL) is None


X, Y = RNG.normal(size=(3, 5)), RNG.normal(size=(3, 5))


def capped(first: bool) -> Part:
    """A scale before a soft cap, or behind it."""
    tape = Tape()
    at = tape.given(5 * X)
    at = tape.op("multiply", tape.values[at] * 0.3, at, 0.3) if first else at
    at = tape.op("divide", tape.values[at] / 2, at, 2.0)
    at = tape.op("tanh", np.tanh(tape.values[at]), at)
    at = tape.op("multiply", tape.values[at] * 2, at, 2.0)
    if not first:
        tape.op("multiply", tape.values[at] * 0.3, at, 0.3)
    return tape.part(0)


def added(first: bool) -> Part:
    """relu(x) + y, or relu(x + y)."""
    tape = Tape()
    at, other = tape.given(X), tape.given(Y)
    at = tape.op("sin", np.sin(X), at)
    at = tape.op("silu", tape.values[at] / (1 + np.exp(-tape.values[at])), at) if first else at
    at = tape.op("add", tape.values[at] + Y, at, other)
    at = at if first else tape.op("silu", tape.values[at] / (1 + np.exp(-tape.values[at])), at)
    tape.op("cos", np.cos(tape.values[at]), at)
    return tape.part(0, 1)


def test_an_operation_at_another_place() -> None:
    told = "place of multiply 0.3 (x.py:0): A before tanh (x.py:2), B behind it"
    assert words(capped(True), capped(False)) == told
    assert words(capped(False), capped(True)).startswith("place of multiply 0.3")
    assert words(added(True), added(False)) == "place of silu (x.py:1): A before add (x.py:2), B behind it"


def cell(late: bool) -> Part:
    """A gate that sees the state behind its update, or before it; one line for each operation of a step."""
    tape = Tape()
    steps, zeros = tape.given(RNG_STEPS), tape.given(np.zeros((2, 3)))
    state = zeros
    for step in range(5):
        before = state
        given = tape.op("slice", RNG_STEPS[:, step], steps)
        half = tape.op("multiply", tape.values[state] * 0.5, state, 0.5)
        state = tape.op("add", tape.values[half] + tape.values[given], half, given)
        seen = state if late else before
        gate = tape.op("sigmoid", 1 / (1 + np.exp(-tape.values[seen])), seen)
        state = tape.op("multiply", tape.values[state] * tape.values[gate], state, gate)
    return in_rounds(tape.part(steps, zeros), 5)


def in_rounds(part: Part, rounds: int) -> Part:
    """The operations of each round have the lines of the first."""
    each = len(part.ops) // rounds
    return replace(part, ops=tuple(replace(op, line=f"x.py:{op.at % each}") for op in part.ops))


RNG_STEPS = RNG.normal(size=(2, 5, 3))


def test_an_operand_of_every_step_of_a_loop() -> None:
    told = words(cell(True), cell(False))
    assert told.startswith("operand of sigmoid (x.py:3) in each step: A the result of") or "of the step before" in told


def normed(epsilon: float, name: str) -> Part:
    """A norm that is one operation, of another name on the other side, before something else."""
    tape = Tape()
    at = tape.given(X)
    variance = X.var(-1, keepdims=True) + epsilon
    at = tape.op(name, (X - X.mean(-1, keepdims=True)) / np.sqrt(variance), at, epsilon=epsilon)
    tape.op("sin", np.sin(tape.values[at]), at)
    return tape.part(0)


def test_the_epsilon_of_a_norm_that_is_one_operation() -> None:
    told = words(normed(1e-3, "layer_norm"), normed(2e-3, "layer_norm"))
    assert told == "epsilon of layer_norm (x.py:0): A 0.001, B 0.002"
    told = words(normed(0.5, "unknown"), normed(1e-5, "layer_norm"))  # by what the other side computes
    assert told == "epsilon of layer_norm (x.py:0): A 0.5, B 1e-05"
