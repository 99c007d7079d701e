"""Sides of a comparison that are written in NumPy: each call records an operation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from suites.port.hypotheses import explain_region
from suites.port.hypotheses.question import Entry, Part, Question
from suites.port.recording import Op, Operand

Array = np.ndarray
UNIT = 2.0**-53


@dataclass
class Tape:
    """A side that is written in NumPy: each call records an operation."""

    values: dict[int, Array] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    tables: dict[str, Array] = field(default_factory=dict)

    def given(self, array: Array) -> int:
        self.values[len(self.values)] = array
        return len(self.values) - 1

    def op(self, name: str, array: Array, *inputs: int | float, table: str = "", **settings: object) -> int:
        """The id of what an operation gave; a float among its inputs is written out."""
        at = self.given(array)
        operands = [Operand(value=each) if isinstance(each, int) else Operand(literal=each) for each in inputs]
        if table:
            operands.append(Operand(weights=(table,)))
        self.ops.append(Op(len(self.ops), name, name, (), tuple(operands), settings, (at,), f"x.py:{len(self.ops)}"))
        return at

    def part(self, *entries: int) -> Part:
        last = self.ops[-1].outputs[0]
        known = tuple(Entry(at, self.values[at], at, f"the input {at}") for at in entries)
        return Part(tuple(self.ops), known, last, self.values[last], self.values, own=self.tables)


def question(a: Part, b: Part) -> Question:
    return Question("inference", "between", a, b, UNIT)


def words(a: Part, b: Part) -> str:
    found = explain_region(question(a, b))
    return found[0].words() if found else ""


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))
