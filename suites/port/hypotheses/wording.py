"""An operation, its place and a value in words."""

from __future__ import annotations

from suites.port.hypotheses.program import Program, Step
from suites.port.hypotheses.question import Question


def describe(step: Step) -> str:
    """`multiply of final (a.py:28)`."""
    if step.op is None:
        return step.name
    layer = f" of {step.op.layer}" if step.op.layer else ""
    return step.name + layer + (f" ({step.op.line})" if step.op.line else "")


def where(step: Step) -> str:
    line = step.op.line if step.op is not None else ""
    return f" of {step.name}" + (f" ({line})" if line else "")


def describe_entry(entry: object) -> str:
    return getattr(entry, "origin", "") or "what comes in"


def describe_value(program: Program, question: Question, at: int) -> str:
    step = program.producer(at)
    if step is not None:
        return f"the result of {describe(step)}"
    return next((describe_entry(entry) for entry in question.a.entries if entry.id == at), "a constant")
