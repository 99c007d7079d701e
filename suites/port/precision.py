"""What an engine computes in float32 inside of a float64 model: its own constants, or a whole operation.

No port can avoid it. Such a cause counts only where the operations show it, and only as far as rounding to float32 can
take a tensor: the bound of float64 times the ratio of the unit roundoffs. The bound is that of the side whose numbers
move less: what the other one's float32 makes of a rounding error of float64 is float32 already.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from suites.port.bounds import Difference
from suites.port.graph import Slice
from suites.port.hypotheses.question import IN_FLOAT32, Cause
from suites.port.recording import Op, Pass
from suites.port.side import RATIO

STEP = 2.0**-20  # relative: what one operation in float32 may be off
MOST = 1e-2  # relative: float32 takes nothing farther
RELEASED = IN_FLOAT32
SINGLE_SETTINGS = ("LeakyRelu",)  # operations of TensorFlow whose settings are float32 whatever comes in
SINGLE = ("float32", "f32")
DERIVATIVES = {"hardsigmoid": "the 1/6 in the derivative of hardsigmoid rounded to float32"}  # PyTorch, Activation.cpp


def explained(difference: Difference) -> bool:
    """Whether float32 somewhere in the model can make this difference."""
    return difference.index is not None and difference.relative <= (difference.steady or difference.bound) * RATIO


def doubtful(difference: Difference) -> bool:
    """Whether float32 may make a difference that the bound leaves unexplained: it is small.

    Errors of float64 are lost where a side casts to float32: by them it looks as if it moved less than it does.
    """
    return not explained(difference) and difference.relative <= MOST


def rounded_inside(a: tuple[Slice, Pass], b: tuple[Slice, Pass]) -> Cause | None:
    """The cause of a region in which a side passes through float32, or both do in their own ways; None: neither."""
    found = [evidence(cut.ops, seen) for cut, seen in (a, b)]
    if not any(found):
        return None
    words = [text or "float64 throughout" for text in found]
    template = "precision: A has {a}, B {b} (no fault of the port)"
    return Cause("float32", template, words[0], words[1], RELEASED)


def evidence(ops: Iterable[Op], seen: Pass) -> str:
    """How float32 shows in operations of a float64 model, in words; "" where it does not."""
    for op in ops:
        for operand in op.inputs:
            constant = single_constant(operand.literal)
            if constant is not None:
                return f"the constant {constant:.9g} rounded to float32 ({op.raw})"
        slope = op.attributes.get("slope")
        if op.raw in SINGLE_SETTINGS and isinstance(slope, float) and slope != float(np.float32(slope)):
            return f"the slope {slope:.9g} rounded to float32 ({op.raw})"
        if any(seen.values[at].dtype.endswith(SINGLE) or "'float32'" in seen.values[at].dtype for at in op.outputs):
            return f"{op.raw} in float32"
    return ""


def inside(seen: Pass) -> bool:
    """Whether a pass goes through float32."""
    return bool(evidence(seen.ops, seen))


def in_the_derivative(seen: Pass) -> str:
    """What of a pass has a derivative with a constant in float32, in words; "" where nothing has."""
    for op in seen.ops:
        for name, words in DERIVATIVES.items():
            if op.raw.rpartition(".")[2] == name:
                return words
    return ""


def single_constant(literal: Any) -> float | None:
    """A number that nobody wrote in float64: it has the bits of a float32, and more digits than one writes."""
    if not isinstance(literal, float) or not np.isfinite(literal):
        return None
    written = float(f"{literal:.8g}")
    return literal if literal == float(np.float32(literal)) and written != literal else None
