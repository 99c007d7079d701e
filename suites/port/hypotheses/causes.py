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


def propose(
    changes: Mapping[str, Any], signature: str, subject: str, a: str, b: str, note: str = "", released: str = ""
) -> Proposal:
    return Proposal(changes, cause(signature, subject, a, b, note, released))


def short(value: float) -> str:
    return f"{value:.4g}"


def unlike(a: float, b: float) -> tuple[str, str]:
    """Two numbers that differ, short, or with all their digits where that would make them alike."""
    return (short(a), short(b)) if short(a) != short(b) else (repr(a), repr(b))


def nice(value: float, digits: int = 6) -> float:
    """The value as a person would have written it: rounded to `digits` digits."""
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) else value


def spell(value: float, sizes: Iterable[tuple[int, str]] = ()) -> str:
    """A factor in words: `1/sqrt(8) (width)` where 8 is one of the `sizes` (number, name), `0.3536` otherwise."""
    known = list(sizes)
    sign = "-" if value < 0 else ""
    wholes = {form: _whole(value, power) for form, power in FORMS.items()}
    for form, whole in wholes.items():
        for size, name in known:
            if whole == size > 1 and not ("sqrt" in form and name in UNROOTED):
                words = f"{sign}{form.format(whole)} ({name})"
                return f"{short(value)} = {words}" if "sqrt" in form and name != "head" and _square(whole) else words
    for form, whole in wholes.items():
        if whole > 1 and form != "{}" and not ("sqrt" in form and _square(whole)):
            return sign + form.format(whole)
    for power, words in {1.0: "{0}/{1}", 2.0: "sqrt({0}/{1})"}.items():
        count = _corrected(abs(value) ** power)
        if count:
            return f"{sign}{words.format(count, count - 1)} (n/(n-1): the unbiased variance)"
    return short(value)


def whole_form(value: float) -> int:
    """The whole number of which a factor is the inverse, the root or both, or that it is; 0 where there is none."""
    return max(_whole(value, power) for power in FORMS.values())


def _square(number: int) -> bool:
    return math.isqrt(number) ** 2 == number


def _corrected(value: float) -> int:
    """n where the value is n / (n - 1) and no short decimal; 0 where it is not."""
    count = value / (value - 1) if value > 1 and nice(value, 4) != value else 0.0
    return round(count) if 2 < round(count) < 1e5 and abs(count - round(count)) < 1e-8 * count else 0


UNROOTED = (
    "examples",
    "classes",
    "outputs",
    "places",
    "elements",
    "examples and places",
)  # of which nobody takes roots
FORMS = {"1/sqrt({})": -0.5, "1/{}": -1.0, "{}": 1.0, "sqrt({})": 0.5}


def _whole(value: float, power: float) -> int:
    """The whole number n for which n ** power is the value; 0 where there is none."""
    root = abs(value) ** (1 / power) if value else 0.0
    return round(root) if 1 < root < 1e6 and abs(root - round(root)) < 1e-9 * root else 0
