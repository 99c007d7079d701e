"""Findings that belong together: two that cancel, and what no port can avoid, are told as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from suites.port.findings import Finding
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.rotations import ROTARY

SAME_FACTOR = 1e-9  # relative: two factors are each other's inverse
MISSING = re.compile(r"(\w+)(?: of [^(:]*)?(?: \(([^)]*)\))?(?: of (.*?))?: A \{a\}")


def cancel(one: Finding, then: Finding) -> bool:
    """Whether B lacks an operation at one of two places, and has one of this name that A lacks at the other."""
    if one.cause is None or then.cause is None or "missing" not in (one.cause.signature, then.cause.signature):
        return False
    names = [MISSING.match(each.cause.template) for each in (one, then) if each.cause is not None]
    if not all(names) or len({found.group(1) for found in names if found}) != 1:
        return False
    return (one.cause.a, one.cause.b) == (then.cause.b, then.cause.a)


def moved_operation(one: Finding, then: Finding) -> Finding:
    """One finding of two that cancel: where each side has the operation."""
    assert one.cause is not None and then.cause is not None
    lines = {}
    for each in (one.cause, then.cause):
        match = MISSING.match(each.template)
        assert match is not None
        lines["A" if each.a == "computes it" else "B"] = match.group(2) or "elsewhere"
    first = "B" if one.cause.b == "computes it" else "A"
    words = {letter: f"{'earlier' if letter == first else 'later'} ({line})" for letter, line in lines.items()}
    what = MISSING.match(one.cause.template)
    subject = what.group(1) if what is not None else "an operation"
    cause = Cause("moved", f"place of {subject}: A {{a}}, B {{b}}", words.get("A", ""), words.get("B", ""))
    return replace(one, cause=cause, line_a=then.line_a or one.line_a)


def gathered(found: Sequence[Finding]) -> list[Finding]:
    """The findings, with what no port can avoid told once for all of its places."""
    kept: list[Finding] = []
    for one in found:
        same = next((k for k in kept if one.released and k.cause == one.cause), None)
        if same is None:
            kept.append(one)
    return kept


def moved_rotations(found: Sequence[Finding]) -> list[Finding]:
    """The findings; rotary positions that one side has before layers and the other one behind them are told as that."""
    behind = next(
        (one for one in found if one.signature == "rotary" and one.cause and "none" in (one.cause.a, one.cause.b)), None
    )
    before = [one for one in found if one.cause and one.signature in ("missing", "extra") and ROTARY in one.words()]
    if behind is None or not before or behind.cause is None:
        return list(found)
    layers = " and ".join(one.place_a for one in before)
    of_a = behind.cause.b == "none"
    early, late = f"before {layers}", f"behind {layers} ({behind.cause.a if of_a else behind.cause.b})"
    cause = Cause("moved", f"place of the {ROTARY}: A {{a}}, B {{b}}", *((late, early) if of_a else (early, late)))
    return [replace(before[0], cause=cause), *(one for one in found if one is not behind and one not in before)]


def moved_scales(found: Sequence[Finding]) -> list[Finding]:
    """The findings; a factor that B lacks at one place and has at a later one is one that was moved."""
    kept: list[Finding] = []
    for one in found:
        moved = moved_scale(kept[-1], one) if kept else None
        if moved is None:
            kept.append(one)
        else:
            kept[-1] = moved
    return kept


def moved_scale(first: Finding, then: Finding) -> Finding | None:
    """One finding of two whose factors cancel; None where they don't, or where it isn't known which side is early."""
    if first.cause is None or then.cause is None or 1.0 in (first.cause.factor, then.cause.factor):
        return None
    if abs(first.cause.factor * then.cause.factor - 1) > SAME_FACTOR or {first.cause.a, first.cause.b}.isdisjoint("1"):
        return None
    early, late = "multiplies first and adds then", "adds first and multiplies all of it by "
    moved = Cause("scale_place", "place of a scale: A {a}, B {b}", early, late + then.cause.b)
    if first.cause.a == "1":
        moved = Cause("scale_place", "place of a scale: A {a}, B {b}", late + then.cause.a, early)
    return replace(then, cause=moved, line_a=first.line_a or then.line_a)
