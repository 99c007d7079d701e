"""An operation, its place and a value in words."""

from __future__ import annotations

from suites.port.hypotheses.program import Program, Step
from suites.port.hypotheses.question import Question


def line_of(step: Step) -> str:
    """` (a.py:28)`; "" where no line of the user's is known."""
    return f" ({step.op.line})" if step.op is not None and step.op.line else ""


def describe(step: Step) -> str:
    """`multiply of final (a.py:28)`."""
    layer = f" of {step.op.layer}" if step.op is not None and step.op.layer else ""
    return step.name + layer + line_of(step)


def where(step: Step) -> str:
    return f" of {step.name}{line_of(step)}"


def describe_entry(entry: object) -> str:
    return getattr(entry, "origin", "") or "what comes in"


def describe_value(program: Program, question: Question, at: int) -> str:
    step = program.producer(at)
    if step is not None:
        return f"the result of {describe(step)}"
    return next((describe_entry(entry) for entry in question.a.entries if entry.id == at), "a constant")
