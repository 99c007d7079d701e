"""The controls: a disguised program for A/A, a positive control of any length."""

from __future__ import annotations

import random
from typing import Any

import pytest

from suites.gate.paired_rounds import Duel
from suites.projects import disguise, rounds


@pytest.mark.parametrize("seconds", [1e-5, 0.01, 0.1, 0.9])
def test_the_positive_control_fits_into_a_block_however_long_a_call_is(seconds: float) -> None:
    """Benchmarks of 13 ms and more ended the gate with a traceback, behind all that it had measured."""
    length = rounds.Length(seconds, 1)
    calls = length.control_calls
    duel = Duel(length.units(calls, extra=True), calls, 1 / calls)
    base, head = duel.unit
    assert head == base + 1 <= duel.units * duel.calls
    assert seconds > rounds.VERY_LONG_CALL or length.shortest(calls) <= 60


SOURCE = '''"""A module."""
LIMIT = 3


def first(items, limit=LIMIT):
    total = 0
    for item in items:
        total = total + item
    return total, limit


def second(a, b=2):
    swapped, *rest = b, a
    return swapped, rest


def third(x):
    y = [x + z for z in range(2)]
    return locals()["y"], f"{y}"


def fourth():
    value = second(1)
    return value


fifth = fourth()
'''


def test_a_disguised_program_computes_the_same() -> None:
    """An A/A control of different trees is worth nothing if the trees differ in what they do."""
    rng = random.Random(3)
    told = []
    for text in (SOURCE, disguise.disguised(SOURCE, rng)):
        names: dict[str, Any] = {}
        exec(compile(text, "module", "exec"), names)
        told.append([names["first"]([1, 2]), names["second"](1), names["third"](1), names["fourth"](), names["fifth"]])
    assert told[0] == told[1]
    changed = disguise.disguised(SOURCE, rng)
    assert "total_" in changed and "y_" not in changed and changed.index("def third") < changed.index("def second")
