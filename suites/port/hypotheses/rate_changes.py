"""Another learning rate, or another course of rates, than an optimizer has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from impls.known_differences import DIFFERENCES
from suites.port.hypotheses.causes import Proposal, nice, propose, short, unlike
from suites.port.hypotheses.steps import Side
from suites.port.hypotheses.update_rules import Config, rates_of

NEAR = 1e-4  # rates that are nearer than this nobody has set: a clip or an epsilon has made them
RATE_ROUNDING = 2.0**-21  # relative: a few roundings of a rate to float32


def rounded_rates(ours: Config, theirs: Config, side: Side, name: str) -> Iterator[Proposal]:
    """B's rates are A's up to rounding to float32, in which Keras and optax compute schedules; B says so itself."""
    measured = side.measured_rates(name, ours) if not theirs else None  # a chain of optax's says nothing of its rates
    for found in (theirs.get("rates"), theirs.get("rates32"), measured):
        own_rates = rates_of(ours, len(found or ()))
        if not found or found == own_rates:
            continue
        if all(math.isclose(a, b, rel_tol=RATE_ROUNDING) for a, b in zip(own_rates, found, strict=True)):
            changes = {"rates": found, "rate": found[0], "rates32": None}
            words = unlike(*next((a, b) for a, b in zip(own_rates, found, strict=True) if a != b))
            released = DIFFERENCES["schedule_in_float32"].port
            yield propose(changes, "float32", "rates of a schedule, computed in float32", *words, released=released)


def rates(ours: Config, theirs: Config, side: Side, name: str) -> Iterator[Proposal]:
    """Measured."""
    found = side.measured_rates(name, ours)
    if found is None:
        return
    known = [*(ours.get("rates") or [ours["rate"]])]
    own_rates = rates_of(ours, len(found))
    if all(math.isclose(a, b, rel_tol=NEAR) for a, b in zip(own_rates, found, strict=True)):
        return
    constant = all(math.isclose(rate, found[0], rel_tol=1e-7) for rate in found)
    changes = {"rates": None if constant else found, "rate": found[0], "rates32": None}
    if not any(found):
        yield propose(changes, "frozen", "training", "trains them", "leaves them as they are")
        return
    if every := _period(found):
        yield propose(
            changes, "accumulation", "updates", "at each step", f"every {every} steps (accumulated gradients)"
        )
        return
    lag = _lag(known if ours.get("rates") else own_rates, found)
    if lag:
        count = f"{abs(lag)} {{}}{'s' * (abs(lag) > 1)}"
        when, then = ("later", "ahead") if lag > 0 else ("earlier", "late")
        b = f"those of A {count.format('step')} {when} (B's schedule is {count.format('update')} {then})"
        yield propose(
            changes,
            "schedule_shift",
            "schedule, rates of the first steps",
            _listed(own_rates),
            f"{_listed(found)}, {b}",
        )
    elif len({nice(rate, 7) for rate in own_rates}) == 1 and constant:
        note = _as_gradients(ours, found[0] / own_rates[0]) if own_rates[0] else ""
        trusted = ours.get("trust") and ours["rule"] == "sgd"
        subject = "learning rate times the trust coefficient" if trusted else "learning rate"
        yield propose(changes, "rate", subject, short(own_rates[0]), short(found[0]), note)
    elif _proportional(own_rates, found):
        note = f"always {short(_proportional(own_rates, found))} times A's"
        yield propose(changes, "rate", "learning rate", _listed(own_rates), _listed(found), note)
    elif constant:
        b = f"stays {short(found[0])}"
        yield propose(changes, "schedule", "schedule, rates of the first steps", _listed(own_rates), b)


def other_schedule(ours: Config, theirs: Config, side: Side, name: str) -> Iterator[Proposal]:
    """Measured rates without a rule: the last resort, since they can imitate a clip."""
    found = side.measured_rates(name, ours)
    if found is not None:
        changes = {"rates": found, "rate": found[0], "rates32": None}
        own_rates = _listed(rates_of(ours, len(found)))
        yield propose(changes, "schedule", "schedule, rates of the first steps", own_rates, _listed(found))


def _as_gradients(ours: Config, ratio: float) -> str:
    """What else a whole multiple may be, in a rule whose steps grow with the gradient."""
    times = max(ratio, 1 / ratio)
    if ours.get("rule") != "sgd" or ours.get("weight_decay") or abs(times - round(times)) > 1e-6:
        return ""
    return f"or gradients {short(ratio)} times A's (summed, not averaged)"


def _period(rates: Sequence[float]) -> int:
    """k where only each k-th step moves anything, 0 where it is otherwise."""
    moves = [step for step, rate in enumerate(rates, 1) if rate]
    every = moves[0]
    regular = moves == list(range(every, len(rates) + 1, every))
    return every if every > 1 and regular else 0


def _listed(values: Sequence[float]) -> str:
    return ", ".join(short(value) for value in values)


def _proportional(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """By what B's rates are A's, where that is one number for all steps; 0 where it is not. A warmup may start at 0."""
    if any(bool(a) != bool(b) for a, b in zip(ours, theirs, strict=True)):
        return 0.0
    ratios = [b / a for a, b in zip(ours, theirs, strict=True) if a]
    if not ratios or not all(math.isclose(ratio, ratios[0], rel_tol=1e-6) for ratio in ratios):
        return 0.0
    return ratios[0]


def _lag(ours: Sequence[float], theirs: Sequence[float]) -> int:
    """By how many steps B's rates are A's of later (positive) or earlier steps; 0 where they are not."""
    if math.isclose(min(theirs), max(theirs), rel_tol=1e-3):
        return 0
    for lag in (1, -1, 2, -2):
        pairs = [(ours[t + lag], b) for t, b in enumerate(theirs) if 0 <= t + lag < len(ours)]
        if len(pairs) >= 2 and all(math.isclose(a, b, rel_tol=1e-6) for a, b in pairs):
            return lag
    return 0
