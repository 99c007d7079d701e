"""What B's optimizer does otherwise, for all parameters or for some, judged from each side's own gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from impls.known_differences import DIFFERENCES
from suites.port.hypotheses.causes import cause as make_cause
from suites.port.hypotheses.causes import nice, short
from suites.port.hypotheses.optimizer_causes import combine, described_differences, schedule_causes
from suites.port.hypotheses.optimizer_changes import GUESSES, SIGNATURES, TRUSTING, Signature
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.rate_changes import other_schedule
from suites.port.hypotheses.steps import Run, Side, StepsQuestion
from suites.port.hypotheses.update_rules import CHANGES, Clip, Config, Schedule, rates_of

SAMPLE = 256  # elements of a parameter: every rule acts on each element alone
LIMITS = (1.0, 5.0, 0.5, 0.1, 0.25, 2.0, 3.0, 10.0, 0.2, 0.3, 0.01, 0.05, 0.02, 0.001, 40.0, 100.0)
EXCHANGED = 1e-4  # two shares that are 1 together
BUDGET = 3000  # combinations of changes that are tried for one parameter
SHARES = (0.0, 1e-2, 1e-3, 1e-4, 5e-4, 1e-5, 1e-6)  # decays that are tried where they can't be measured
CLIPS = ("value", "each norm", "global norm")


@dataclass(frozen=True)
class Known:
    """The rule that a side follows."""

    each: Mapping[str, Config]
    schedule: Schedule


def explain_steps(question: StepsQuestion) -> list[Cause] | None:
    """What B's updates do otherwise with B's own gradients: [] where nothing, None where it is not recognised."""
    if not (question.a.finite() and question.b.finite()):
        return None
    for swapped in (False, True):
        asked = question.swapped() if swapped else question
        ours = own(asked.a, asked.unit)
        found = _explain(ours, asked) if ours else None
        if found is not None:
            found = [each.swapped() for each in found] if swapped else found
            if {each.signature for each in found if not each.released} in RESCALED:
                found = averaged(question) or found
            return found or described_differences(question)
    return None


RESCALED = ({"rate"}, {"schedule"})  # what a moving average of the weights looks like


def averaged(question: StepsQuestion) -> list[Cause]:
    """Where both optimizers say the same rate, and the weights move by a share of it only: a moving average of them.

    Shares that change from step to step are believed where an optimizer says that it averages: a schedule has such.
    """
    runs = question.a, question.b
    told = any(config.get("ema") for run in runs for config in run.each.values())
    rates = [{name: rates_of(config, 1) for name, config in run.each.items()} for run in runs]
    if question.a.each.keys() != question.a.start.keys() or rates[0] != rates[1]:
        return []
    shares = [shares_of(run, question.unit) for run in runs]
    constant = all(len(set(each)) == 1 for each in shares)
    if shares[0] == shares[1] or not all(each and 0 < min(each) <= max(each) <= 1 for each in shares):
        return []
    if not constant and not told:
        return []
    a, b = (", ".join("all of it" if each == 1 else short(each) for each in dict.fromkeys(side)) for side in shares)
    exchanged = constant and abs(shares[0][0] + shares[1][0] - 1) < EXCHANGED
    note = "the factors have changed places" if exchanged else "the optimizers say the same rate"
    return [make_cause("ema", "moving average of the weights: share of an update that is taken", a, b, note)]


def shares_of(run: Run, unit: float) -> list[float]:
    """The shares of the updates that the optimizer describes by which the weights move; [] where there are none."""
    side = Side(run, unit, Schedule(run.clip))
    found: list[float] = []
    for name, config in run.each.items() if side.possible else ():
        measured = side.measured_rates(name, config)
        if measured is None:
            return []
        own_rates = rates_of(config, len(measured))
        shares = [nice(a / b, 5) if b else math.nan for a, b in zip(measured, own_rates, strict=True)]
        if found and shares != found:
            return []
        found = shares
    return found


def own(run: Run, unit: float) -> Known | None:
    """The rules that the side's own steps follow: as it describes them, or with measured rates; None: others."""
    described = exactly(run, unit)
    if described is not None:
        return described
    schedules = [Schedule(run.clip)] + [s for s in _schedules(run, Schedule(run.clip)) if s.every > 1]
    for schedule in schedules:
        side = Side(run, unit, schedule)
        shared = _shared_rule(side, run)
        if shared is not None:
            return Known(shared, schedule)
        found = {name: _own_rule(side, name, run.each.get(name)) for name in run.start}
        if all(config is not None for config in found.values()):
            return Known({name: config for name, config in found.items() if config is not None}, schedule)
    return clipped_by_the_user(run, unit)


def clipped_by_the_user(run: Run, unit: float) -> Known | None:
    """The rules as described, with a clip and a schedule in the user's own step: all parameters have the same rates."""
    if set(run.each) != set(run.start):
        return None
    for schedule in _schedules(run, Schedule(run.clip)):
        side = Side(run, unit, schedule)
        rates = {name: side.measured_rates(name, config) for name, config in run.each.items()}
        shared = next(iter(rates.values()))
        if not side.possible or shared is None or any(other != shared for other in rates.values()):
            continue
        each = {name: {**config, "rate": shared[0], "rates": shared} for name, config in run.each.items()}
        if all(side.follows(name, config) for name, config in each.items()):
            return Known(each, schedule)
    return None


def exactly(run: Run, unit: float) -> Known | None:
    """The rules as the side's optimizer describes them, after gradients were clipped or accumulated by the user."""
    if set(run.each) != set(run.start):
        return None
    for schedule in (Schedule(run.clip), *_schedules(run, Schedule(run.clip))):
        side = Side(run, unit, schedule)
        if all(side.follows(name, config) for name, config in run.each.items()):
            return Known(run.each, schedule)
    return None


def _own_rule(side: Side, name: str, described: Config | None) -> Config | None:
    candidates = [described, {**described, "float32": True}] if described else []
    for config in candidates:
        if side.follows(name, config):
            return config
    for guess in [described] if described else list(_guesses(side, name)):
        rates = side.measured_rates(name, {"rate": 1.0, **guess})
        if rates is not None:
            config = {**guess, "rate": rates[0], "rates": None if len(set(rates)) == 1 else rates}
            if side.follows(name, config):
                return config
    return None


def _shared_rule(side: Side, run: Run) -> dict[str, Config] | None:
    """One rule that nobody describes, with the same rates and decays for all parameters: one rate, or a trust ratio."""
    if any(run.each.get(name, {}).get("rule") for name in run.start):
        return None
    first = max(run.start, key=lambda name: run.start[name].size)
    for guess in (*GUESSES, *TRUSTING):
        trusting = bool(guess.get("trust"))
        shares = SHARES if trusting and guess["rule"] == "sgd" else {side.measured_decay(first, guess), 0.0}
        for share in sorted(shares, reverse=True):
            config = {**guess, "weight_decay": share, "decoupled": guess["rule"] != "sgd" or not trusting}
            rates = side.measured_rates(first, config)
            if rates is None or (not trusting and len(set(rates)) > 1):
                continue
            config.update(rate=rates[0], rates=None if len(set(rates)) == 1 else rates)
            if all(side.follows(name, config) for name in run.start):
                return dict.fromkeys(run.start, config)
    return None


def _guesses(side: Side, name: str) -> Iterator[Config]:
    yield from GUESSES
    for guess in GUESSES:
        share = side.measured_decay(name, guess)
        if share > 0:
            yield {**guess, "weight_decay": share, "decoupled": True}


def _explain(ours: Known, question: StepsQuestion) -> list[Cause] | None:
    """The fewest changes for all parameters; a change of what comes before the rule counts as one."""
    same, run, unit = ours.schedule, question.b, question.unit
    plain = Side(run, unit, same)
    for depth in (0, 1):
        if (found := _each(ours, question, plain, depth)) is not None:
            return found
    others = [(schedule, Side(run, unit, schedule)) for schedule in _schedules(run, same)]
    for schedule, side in others:
        if (found := _each(ours, question, side, 0)) is not None:
            return [*schedule_causes(same, schedule), *found]
    if (found := _each(ours, question, plain, 2)) is not None:
        return found
    for schedule, side in others:
        near = schedule == same._replace(clip=same.clip._replace(slack=schedule.clip.slack))
        if near and (found := _each(ours, question, side, 2)) is not None:
            return [*schedule_causes(same, schedule), *found]
    for schedule, side in others:
        if (found := _each(ours, question, side, 1)) is not None:
            return [*schedule_causes(same, schedule), *found]
    found = _each(ours, question, plain, 1, (other_schedule,))
    if found is not None and len(found) == 1:
        return found
    return _each(ours, question, plain, 3)


def _schedules(run: Run, same: Schedule) -> Iterator[Schedule]:
    """Other ways to clip, and gradients of several steps accumulated."""
    limits = dict.fromkeys([same.clip.limit, run.clip.limit, *LIMITS])
    clips = [Clip()] + [Clip(kind, limit) for limit in limits if limit for kind in CLIPS]
    clips += [Clip(kind, limit, 1e-6) for limit in limits if limit for kind in CLIPS[1:]]
    for clip in clips:
        if clip != same.clip:
            yield same._replace(clip=clip)
    if same.every == 1:
        yield same._replace(cleared=not same.cleared)
    for change in CHANGES:
        if change != same.change:
            yield same._replace(change=change)
    for every in (1, 2, 3, 4):
        for summed in (False, True):
            if every != same.every and every <= len(run.after) and not (every == 1 and summed):
                yield same._replace(every=every, summed=summed)


def _each(
    ours: Known, question: StepsQuestion, side: Side, depth: int, signatures: Sequence[Signature] = SIGNATURES
) -> list[Cause] | None:
    """Causes of all parameters with at most `depth` changes in each; None where one is left over."""
    if not side.possible:
        return None
    found: dict[str, tuple[Cause, ...]] = {}
    worked: list[tuple[Mapping[str, Any], tuple[Cause, ...]]] = [({}, ())]
    for name, config in ours.each.items():
        theirs = question.b.each.get(name, {})
        explained = _of_one(config, theirs, side, name, depth, worked, signatures)
        if explained is None:
            return None
        found[name] = explained
    for name, causes in found.items():
        if not causes:
            found[name] = _also(ours.each[name], side, name, worked)
    return combine(found, question)


def _also(config: Config, side: Side, name: str, worked: list[Any]) -> tuple[Cause, ...]:
    """The change of the others, where this parameter's steps would be the same with it: no gradient reaches it, say."""
    for changes, causes in worked:
        if causes and not _says_nothing(config, changes) and side.follows(name, {**config, **changes}):
            return tuple(causes)
    return ()


def _of_one(
    config: Config,
    theirs: Config,
    side: Side,
    name: str,
    depth: int,
    worked: list[Any],
    signatures: Sequence[Signature],
) -> tuple[Cause, ...] | None:
    for float32 in dict.fromkeys((bool(config.get("float32")), False, True)):
        more = _float32_cause(config, float32)
        base = {**config, "float32": float32}
        for changes, causes in worked:
            if side.follows(name, {**base, **changes}) and not (causes and _says_nothing(config, changes)):
                return (*causes, *more)
        budget = iter(range(BUDGET))
        for changes, causes in _up_to(base, theirs, side, name, depth, signatures):
            if next(budget, None) is None:
                break
            if side.follows(name, {**base, **changes}):
                worked.append((changes, causes))
                return (*causes, *more)
    return None


def _up_to(
    config: Config, theirs: Config, side: Side, name: str, depth: int, signatures: Sequence[Signature]
) -> Iterator[tuple[dict[str, Any], tuple[Cause, ...]]]:
    """One change before two."""
    for count in range(1, depth + 1):
        yield from _changes(config, theirs, side, name, count, signatures)


def _changes(
    config: Config, theirs: Config, side: Side, name: str, depth: int, signatures: Sequence[Signature]
) -> Iterator[tuple[dict[str, Any], tuple[Cause, ...]]]:
    """Every `depth` proposals, each made with the earlier ones taken over, since some of them are measured."""
    if not depth:
        return
    for signature in signatures:
        rest = [other for other in signatures if other is not signature]
        for proposal in signature(config, theirs, side, name):
            if depth == 1:
                yield dict(proposal.changes), (proposal.cause,)
                continue
            changed = {**config, **proposal.changes}
            for more, causes in _changes(changed, theirs, side, name, depth - 1, rest):
                yield {**proposal.changes, **more}, (proposal.cause, *causes)


def _says_nothing(config: Config, changes: Mapping[str, Any]) -> bool:
    """A parameter that has these settings already has to be explained in words of its own."""
    return all(config.get(key) == value for key, value in changes.items())


def _float32_cause(config: Config, float32: bool) -> tuple[Cause, ...]:
    if bool(config.get("float32")) == float32:
        return ()
    names = {True: "pass through float32, as Keras's do on TensorFlow", False: "are exact"}
    a, b = names[not float32], names[float32]
    return (
        make_cause("float32", "constants of the optimizer", a, b, released=DIFFERENCES["adam_betas_in_float32"].port),
    )
