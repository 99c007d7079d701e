"""Causes of single parameters as those of the whole optimizer, and what its description says beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from impls.known_differences import DIFFERENCES
from suites.port.hypotheses.causes import cause as make_cause
from suites.port.hypotheses.causes import short
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.steps import Run, StepsQuestion
from suites.port.hypotheses.update_rules import Schedule


def schedule_causes(ours: Schedule, theirs: Schedule) -> list[Cause]:
    found = []
    if ours.clip != theirs.clip:
        released = ours.clip._replace(slack=theirs.clip.slack) == theirs.clip
        key = DIFFERENCES["torch_clipping"].port if released else ""
        words = ours.clip.words(), theirs.clip.words()
        found.append(make_cause("clipping", "clipping of gradients", *words, released=key))
    if ours.cleared != theirs.cleared:
        told = {True: "sets them to zero before each step", False: "adds them up from step to step (no zero_grad)"}
        found.append(make_cause("not_cleared", "gradients", told[ours.cleared], told[theirs.cleared]))
    if ours.change != theirs.change:
        a, b = (each.change or "takes them as they are" for each in (ours, theirs))
        found.append(make_cause("gradient_change", "gradients before the update", a, b))
    if ours.every != theirs.every or ours.summed != theirs.summed:
        found.append(make_cause("accumulation", "updates", _every(ours), _every(theirs)))
    return found


def _every(schedule: Schedule) -> str:
    if schedule.every == 1:
        return "at each step"
    what = "sum" if schedule.summed else "mean"
    return f"every {schedule.every} steps by the {what} of their gradients"


PLACES = ("eps_hat", "epsilon_place", "velocity")  # that frameworks differ in: told after what a person wrote


def combine(found: Mapping[str, tuple[Cause, ...]], question: StepsQuestion) -> list[Cause]:
    """One cause for all parameters that have it; it names them where they are not all."""
    holders: dict[Cause, list[str]] = {}
    for name, causes in found.items():
        for each in causes:
            holders.setdefault(each, []).append(name)
    merged = []
    for each, names in holders.items():
        if len(names) < len(found) and not each.released:
            template = each.template.replace(": A {a}", f" of {_group(names, question, found)}: A {{a}}", 1)
            each = replace(each, template=template)
        merged.append(each)
    return sorted(_rates_as_one(merged), key=lambda each: (bool(each.released), each.signature in PLACES))


def _rates_as_one(causes: list[Cause]) -> list[Cause]:
    """Rates of several groups, of layers say, that are all off by one factor, or went to one another's parameters."""
    rates = [each for each in causes if each.signature == "rate" and each.a.replace(".", "").isdigit()]
    if len(rates) < 2 or any(math.isnan(_ratio(each)) for each in rates):
        return causes
    ratios = [_ratio(each) for each in rates]
    if math.isclose(min(ratios), max(ratios), rel_tol=1e-3):  # they are told with four digits
        note = f"always {short(ratios[0])} times A's, in all groups"
    elif sorted(each.a for each in rates) == sorted(each.b for each in rates):
        note = "the same rates at other parameters: " + "; ".join(each.words() for each in rates[:2])
    else:
        return causes
    a, b = (", ".join(dict.fromkeys(getattr(each, side) for each in rates)) for side in "ab")
    return [*(each for each in causes if each not in rates), make_cause("rate", "learning rates of groups", a, b, note)]


def _ratio(rate: Cause) -> float:
    try:
        return float(rate.b) / float(rate.a)
    except (ValueError, ZeroDivisionError):
        return math.nan


ROLES = {"kernel": "kernels", "bias": "biases", "gamma": "scales of norms", "beta": "shifts of norms"}


def _group(names: Iterable[str], question: StepsQuestion, everything: Mapping[str, Any]) -> str:
    """`biases and norms` where these are all of their roles, else the names."""
    chosen = set(names)
    roles = {question.roles.get(name, "") for name in chosen}
    whole = all(name in chosen for name in everything if question.roles.get(name, "") in roles)
    if whole and all(roles):
        words = [word for role, word in ROLES.items() if role in roles] + sorted(roles - set(ROLES))
        if {"gamma", "beta"} <= roles:
            words = [*(word for word in words if "norms" not in word), "norms"]
        return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    listed = sorted(chosen)
    return ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")


def of_libraries(question: StepsQuestion) -> str:
    """What no port can avoid, where both sides have the AMSGrad of a library, and only one of them optax's."""
    sides = question.a.each, question.b.each
    pairs = [{(each.get("amsgrad"), bool(each.get("library"))) for each in side.values()} for side in sides]
    own = sorted(pairs, key=str) == [{("corrected", True)}, {(True, True)}]
    return DIFFERENCES["optax_amsgrad"].port if own else ""


INVISIBLE = {"amsgrad": "AMSGrad", "ema": "moving average of the weights"}


def settings_of(run: Run, key: str) -> set[str]:
    """What the rules of all parameters have for this setting."""
    return {str(config.get(key) or "none") for config in run.each.values()}


def described_differences(question: StepsQuestion) -> list[Cause]:
    """Settings that do not show in the first steps, by what both optimizers say they have."""
    found = []
    for key, words in INVISIBLE.items():
        ours, theirs = settings_of(question.a, key), settings_of(question.b, key)
        if ours and theirs and ours != theirs:
            a, b = (", ".join(sorted(side)).replace("True", "on") for side in (ours, theirs))
            subject = f"{words} (does not show in the first steps)"
            found.append(make_cause(key, subject, a, b, released=of_libraries(question) if key == "amsgrad" else ""))
    return found
