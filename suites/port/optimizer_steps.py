"""The update rule, judged from each side's own gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from impls.known_differences import DIFFERENCES
from suites.port import hypotheses, precision
from suites.port.compared_tensors import trained
from suites.port.comparison import Comparison
from suites.port.findings import Finding
from suites.port.hypotheses.measured_updates import measured
from suites.port.hypotheses.optimizer_settings import other_settings
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.rate_changes import RATE_ROUNDING
from suites.port.hypotheses.steps import Run, StepsQuestion
from suites.port.hypotheses.update_rules import Clip
from suites.port.matching.assign import role
from suites.port.matching.links import Link
from suites.port.recording import Recording
from suites.runner.workers import Arrays

CLIPS = {"clipnorm": "each norm", "global_clipnorm": "global norm", "clipvalue": "value"}
RATES = (
    "precision: one optimizer computes its rate and constants in float32, as Keras and optax's schedules do, the other "
    "in float64"
)
FLOAT32_RATES = ("keras", "flax", "equinox", "haiku")  # APIs whose users have an optimizer that does
WEIGHT_ROUNDINGS = 16  # of a weight itself, in an update
ROUNDED = ("schedule", "clipping", "rate", "float32")
OTHERS = ("groups", "weights", "decayed", "l2")  # in a description, of more than one parameter


def of_steps(c: Comparison, known: Sequence[Finding], single: bool) -> Iterator[Finding]:
    """The update rule, judged from each side's own gradients."""
    links = [link for link in trained(c, "step/0") if f"slope/0/{link.a.name}" in c.a.arrays]
    if not links:
        return
    difference = c.difference("step/")  # judged from each side's own gradients: float32 before them explains none
    if difference is None and not known:
        return
    both = [link for link in links if f"slope/0/{link.b.name}" in c.b.arrays]
    twice = [link for link in both if two_biases(c, link)]
    rest = [link for link in both if link not in twice]
    for link in twice:
        yield biases_finding(c, link)
    if rest:
        roles = {link.a.name: role(link.a) for link in rest}
        asked = StepsQuestion(steps(c, c.a, rest), steps(c, c.b, rest), c.unit, roles)
        causes = hypotheses.explain_steps(asked)
        if rounded_rates(c, causes, rest):
            causes = [Cause("float32", RATES, "float32", "float64", precision.RELEASED)]
        for cause in causes or ():
            yield Finding("optimizer", "optimizer", "optimizer", cause, difference)
        if causes:
            return
    for found in unexplained(c, known, {link.a.name for link in twice}, single):
        yield found if found.cause is not None or not rest else replace(found, cause=measured(asked))


def rounded_rates(c: Comparison, causes: Sequence[Cause] | None, links: Sequence[Link]) -> bool:
    """Whether all that steps differ by is what Keras or optax computes in float32: schedules, clipping, constants."""
    if {c.a.api, c.b.api}.isdisjoint(FLOAT32_RATES) or not all(updates_near(c, link) for link in links):
        return False
    told = [cause for cause in causes or () if not cause.released]
    rates = all(cause.signature in ROUNDED or cause.a == cause.b for cause in told)
    return rates and (bool(told) or causes is None)


def updates_near(c: Comparison, link: Link) -> bool:
    """Whether each update of a parameter is the other side's up to the rounding of a rate to float32, and no more."""
    start = link.pick_a(c.a.start[link.a.name])
    before = start, start
    largest = 0.0
    for step in range(min(c.a.steps, c.b.steps)):
        ours = link.pick_a(c.a.arrays[f"step/{step}/{link.a.name}"])
        theirs = link.to_a(c.b.arrays[f"step/{step}/{link.b.name}"])
        updates = ours - before[0], theirs - before[1]
        largest = max(largest, float(np.linalg.norm(updates[0])))
        rounding = WEIGHT_ROUNDINGS * c.unit * float(np.linalg.norm(ours))
        apart = float(np.linalg.norm(updates[0] - updates[1]))
        if apart > (step + 1) * RATE_ROUNDING * largest + rounding:
            return False
        before = ours, theirs
    return True


def unexplained(c: Comparison, known: Sequence[Finding], told: set[str], single: bool) -> Iterator[Finding]:
    """A weight that moves otherwise although nothing before it differs."""
    steps = [d for d in c.differences if d.tensor.startswith("step/") and not (single and precision.explained(d))]
    left = [d for d in steps if d.tensor.split("/", 2)[2] not in told]
    if told:  # after one step of theirs, all others move otherwise as well
        left = [d for d in left if d.tensor.startswith("step/0/")]
    if not left or any(not finding.released for finding in known):
        return
    name = left[0].tensor.split("/", 2)[2]
    told_of = frozen_cause(c, name) or other_settings(c.a.optimizer, c.b.optimizer)
    details = "" if told_of else "the gradients agree, the update does not"
    yield Finding("optimizer", "optimizer", "optimizer", told_of, left[0], details=details)


def frozen_cause(c: Comparison, name: str) -> Cause | None:
    """A weight that one side never moves."""
    link = next(link for link in c.links if link.a.name == name)
    moved_a = moves(c.a, link.a.name)
    moved_b = moves(c.b, link.b.name)
    if moved_a == moved_b:
        return None
    words = {True: "trains it", False: "leaves it as it is"}
    return Cause("frozen", f"{link.a.layer}: A {{a}}, B {{b}}", words[moved_a], words[moved_b])


def moves(side: Recording, name: str) -> bool:
    return not np.array_equal(side.arrays[f"step/0/{name}"], side.start[name])


def two_biases(c: Comparison, link: Link) -> bool:
    """Of an LSTM's two biases (torch) or a GRU's (torch, Keras) only the sum counts; an optimizer moves both."""
    if link.a.role != "bias" or link.a.kind not in ("lstm", "gru") or c.a.api == c.b.api:
        return False
    ours, theirs = bias_moves(c, link)
    close = [np.linalg.norm(theirs - 2 * ours), np.linalg.norm(ours - 2 * theirs)]
    return float(min(close)) < 0.1 * float(np.linalg.norm(ours))


def bias_moves(c: Comparison, link: Link) -> tuple[np.ndarray, np.ndarray]:
    """How far the first step moves the bias on both sides: of a GRU the sum of both, where only it counts (z and r)."""
    start = c.a.start[link.a.name]
    ours, theirs = c.a.arrays[f"step/0/{link.a.name}"], link.to_a(c.b.arrays[f"step/0/{link.b.name}"])
    if link.a.kind == "gru" and start.ndim == 2:
        gates = start.shape[1] // 3 * 2
        start, ours, theirs = (array.sum(0)[:gates] for array in (start, ours, theirs))
    return ours - start, theirs - start


def biases_finding(c: Comparison, link: Link) -> Finding:
    ours, theirs = map(np.linalg.norm, bias_moves(c, link))
    name = c.a.api if ours > theirs else c.b.api
    words = f"bias of {link.a.layer}: {name} has two biases, both are trained, and their sum moves twice as far"
    cause = Cause("two_biases", words, released=DIFFERENCES["torch_two_biases"].port)
    return Finding("optimizer", link.a.layer, link.b.layer, cause, c.difference(f"step/0/{link.a.name}"))


def steps(c: Comparison, side: Recording, links: Sequence[Link]) -> Run:
    """The steps of one side in A's names and layouts."""
    own = side is c.a

    def of(group: str) -> Arrays:
        if own:
            return {link.a.name: link.pick_a(side.arrays[f"{group}/{link.a.name}"]) for link in links}
        return {link.a.name: link.to_a(side.arrays[f"{group}/{link.b.name}"]) for link in links}

    names = {(link.a.name if own else link.b.name): link.a.name for link in links}
    each = rules(side, names)
    start = {link.a.name: link.pick_a(c.a.start[link.a.name]) for link in links}
    count = range(side.steps)
    return Run(start, [of(f"slope/{n}") for n in count], [of(f"step/{n}") for n in count], each, clip_of(side))


def clip_of(side: Recording) -> Clip:
    """How the optimizer says that it clips; a step of the user's own says nothing."""
    for key, kind in CLIPS.items():
        if side.optimizer and side.optimizer.get(key):
            return Clip(kind, float(side.optimizer[key]))
    return Clip()


def rules(side: Recording, names: dict[str, str]) -> dict[str, dict[str, object]]:
    """The rule of each parameter as the optimizer describes it, by A's names."""
    config = side.optimizer
    if not config or not config.get("rule"):
        return {}
    found = {}
    for own, name in names.items():
        groups = [group for group in config.get("groups", []) if own in group.get("weights", [])]
        mine = dict(groups[0] if groups else config)
        decayed = config.get("decayed")
        if decayed is not None and own not in decayed:
            mine["weight_decay"] = 0.0
        if own in config.get("l2", {}) and not mine.get("weight_decay"):
            mine.update(weight_decay=config["l2"][own], decoupled=False)
        found[name] = {key: value for key, value in mine.items() if key not in OTHERS}
    return found
