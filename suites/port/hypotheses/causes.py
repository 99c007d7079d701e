"""Helpers to say what a difference is: one sentence with both sides, numbers as a person would have written them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from suites.port.hypotheses.question import Cause


@dataclass(frozen=True)
class Proposal:
    """Settings of A's formula that might be B's, and what the difference is called if they are."""

    changes: Mapping[str, Any]
    cause: Cause = field(compare=False)


def cause(signature: str, subject: str, a: str, b: str, note: str = "", released: str = "") -> Cause:
    """`subject: A a, B b: note`."""
    behind = f": {escaped(note)}" if note else ""
    return Cause(signature, f"{escaped(subject)}: A {{a}}, B {{b}}{behind}", a, b, released)


def escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def propose(changes: Mapping[str, Any], signature: str, subject: str, a: str, b: str, note: str = "") -> Proposal:
    return Proposal(changes, cause(signature, subject, a, b, note))


def short(value: float) -> str:
    return f"{value:.4g}"


def nice(value: float, digits: int = 6) -> float:
    """The value as a person would have written it: rounded to `digits` digits."""
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) else value


def spell(value: float, sizes: Iterable[tuple[int, str]] = ()) -> str:
    """A factor in words: `1/sqrt(8) (width)` where 8 is one of the `sizes` (number, name), `0.3536` otherwise."""
    known = dict(reversed(list(sizes)))
    forms = {"{}": 1.0, "1/{}": -1.0, "sqrt({})": 0.5, "1/sqrt({})": -0.5}
    for form, power in forms.items():
        root = abs(value) ** (1 / power) if value else 0.0
        whole = round(root)
        if whole > 1 and abs(root - whole) < 1e-9 * whole and (whole in known or form != "{}") and whole < 1e6:
            name = f" ({known[whole]})" if whole in known else ""
            return ("-" if value < 0 else "") + form.format(whole) + name
    return short(value)
