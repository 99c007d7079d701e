"""What differs in training besides the outputs: running statistics, the loss, gradients, penalties and the update."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from impls.known_differences import DIFFERENCES
from suites.port import hypotheses, precision
from suites.port.bounds import Difference
from suites.port.buffers import dropping, of_steps_alone
from suites.port.comparison import Comparison
from suites.port.findings import Finding
from suites.port.flowing_back import flow_finding
from suites.port.hypotheses.causes import escaped
from suites.port.hypotheses.losses_and_statistics import LossQuestion
from suites.port.hypotheses.measured_updates import measured
from suites.port.hypotheses.optimizer_changes import RATE_ROUNDING
from suites.port.hypotheses.optimizer_settings import other_settings
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.state import StateQuestion
from suites.port.hypotheses.steps import Run, StepsQuestion
from suites.port.hypotheses.update_rules import Clip
from suites.port.layouts import fit
from suites.port.matching.assign import STATISTICS, role
from suites.port.matching.links import Link
from suites.port.recording import Op, Recording
from suites.port.structure import origin
from suites.runner.workers import Arrays


def of_training(c: Comparison, known: Sequence[Finding]) -> list[Finding]:
    """In the order in which a mistake travels; what follows from a `known` finding is left out."""
    real = [finding for finding in known if not finding.released and not dropping(finding)]
    single = any(finding.signature == "float32" for finding in known)
    found = [*of_start(c), *of_state(c, {finding.place_a for finding in known}), *of_steps_alone(c)]
    found += of_loss(c, real, single)
    found += of_penalty(c)
    found += of_gradients(c, [*real, *found], single)
    found += of_steps(c, [*real, *found], single)
    return found


def first(c: Comparison, prefix: str, single: bool) -> Difference | None:
    """The first difference of a group; `single`: that float32 inside an engine can't explain."""
    for found in c.differences:
        if found.tensor.startswith(prefix) and not (single and precision.explained(found)):
            return found
    return None


def of_state(c: Comparison, judged: set[str]) -> Iterator[Finding]:
    """Running statistics after one pass in training mode, from each layer's own input."""
    layers: dict[str, dict[str, Link]] = {}
    for link in c.links:
        if role(link.a) in STATISTICS and c.difference(f"state/{link.a.name}") is not None:
            layers.setdefault(link.a.layer, {})
    for link in c.links:
        if link.a.layer in layers and role(link.a) in STATISTICS:
            layers[link.a.layer][role(link.a)] = link
    for layer, links in layers.items():
        difference = next(d for link in links.values() if (d := c.difference(f"state/{link.a.name}")))
        question = state_question(c, layer, links)
        causes = hypotheses.explain_state(question) if question is not None else []
        other = next(iter(links.values())).b.layer
        engine = any(moved_by_engine(side, name) for side, name in ((c.a, layer), (c.b, other)))
        for cause in causes:
            shown = cause if engine or not cause.released else replace(cause, released="")
            yield Finding("state", layer, other, shown, difference)
        if not causes and not judged:  # what differs before may move them
            yield Finding("state", layer, other, None, difference, details="the statistics move in another way")


def of_start(c: Comparison) -> Iterator[Finding]:
    """Averages that one side corrects for their start at zero: compared as of long ago they are the same."""
    norms = {link.a.layer: link.b.layer for link in c.links if role(link.a) in STATISTICS}
    if "training" not in c.modes:
        return
    for layer, other in norms.items():
        cause = hypotheses.explain_start(start_of(c.a, layer), start_of(c.b, other))
        if cause is not None:
            yield Finding("state", layer, other, cause)


def start_of(side: Recording, layer: str) -> str:
    """How a layer's averages start: "" as the numbers that its statistics have at first."""
    calls = (call for call in side.passes["training"].calls if call.name == layer and call.kind == "batchnorm")
    return next((str(call.config.get("start", "")) for call in calls), "")


def moved_by_engine(side: Recording, layer: str) -> bool:
    """Whether an engine's own batch_norm moves the statistics: code of the user's could take the other variance."""
    names = {weight.name for weight in side.weights if weight.layer == layer and role(weight) in STATISTICS}
    ops = side.passes["training"].ops
    kernels = [op for op in ops if op.name == "batch_norm"]
    return not ops or any(op.raw.startswith("Fused") or names.issubset(op.weights) for op in kernels)


def state_question(c: Comparison, layer: str, links: dict[str, Link]) -> StateQuestion | None:
    """None where the layer's own inputs are not known."""
    if set(links) != set(STATISTICS):
        return None
    mean, variance = links["moving_mean"], links["moving_variance"]
    width = mean.a.shape[-1]
    inputs = [input_of(c.a, layer, width), input_of(c.b, mean.b.layer, width)]
    if inputs[0] is None and inputs[1] is None:
        return None
    ours = inputs[0] if inputs[0] is not None else inputs[1]
    theirs = inputs[1] if inputs[1] is not None else inputs[0]
    assert ours is not None and theirs is not None
    before = c.a.start[mean.a.name].ravel(), c.a.start[variance.a.name].ravel()
    after_a = tuple(c.a.arrays[f"state/{link.a.name}"].ravel() for link in (mean, variance))
    after_b = tuple(link.to_a(c.b.arrays[f"state/{link.b.name}"]).ravel() for link in (mean, variance))
    return StateQuestion(ours, theirs, before, after_a, after_b, c.unit)  # type: ignore[arg-type]


def input_of(side: Recording, layer: str, width: int) -> np.ndarray | None:
    """What a normalisation got in training, channels last."""
    seen = side.passes["training"]
    call = next((call for call in seen.calls if call.name == layer and call.inputs), None)
    if call is None:
        return None
    array = seen.values[call.inputs[0]].array
    if array is None:
        return None
    first = side.api == "torch" and array.ndim > 2 and array.shape[1] == width
    return np.moveaxis(array, 1, -1) if first else array


def of_loss(c: Comparison, known: Sequence[Finding], single: bool) -> Iterator[Finding]:
    if "loss" not in c.a.arrays or "loss" not in c.b.arrays:
        return
    difference = first(c, "loss", single)
    if difference is None and c.difference("loss") is None and not known:
        return
    causes = hypotheses.explain_loss(loss_question(c))
    for cause in causes or ():
        yield Finding("loss", "loss", "loss", cause, difference)
    if causes is None and difference is not None and not known:
        details = f"the outputs agree, the losses do not: A {difference.a:.6g}, B {difference.b:.6g}"
        yield Finding("loss", "loss", "loss", None, difference, details=details)


def of_penalty(c: Comparison) -> Iterator[Finding]:
    """What one side adds to the loss besides squares of weights (a decay could do those); else steps show it."""
    if (c.a.steps and c.b.steps) or c.data.labels is None or not (c.a.has_loss and c.b.has_loss):
        return
    ours, theirs = (float(side.arrays.get("penalty/no_decay", 0.0)) for side in (c.a, c.b))
    if not math.isclose(ours, theirs, rel_tol=math.sqrt(c.unit), abs_tol=0.0):
        a, b = (f"adds {value:.4g}" if value else "adds none" for value in (ours, theirs))
        template = "penalty that layers add to the loss (activity_regularizer, add_loss, L1): A {a}, B {b}"
        yield Finding("loss", "loss", "loss", Cause("penalty", template, a, b))


def loss_question(c: Comparison) -> LossQuestion:
    mode = c.modes[-1]
    ours = c.a.group(f"output/{mode}/")
    theirs = c.b.group(f"output/{mode}/")
    turned = c.a.turned != c.b.turned
    outputs_b = {path_a: fit(theirs[path_b], ours[path_a], turned) for path_a, path_b in c.pairs if path_b in theirs}
    assert c.data.labels is not None
    slopes = trained(c, "gradient")
    return LossQuestion(
        outputs_a={path: ours[path] for path, _ in c.pairs if path in ours},
        outputs_b=outputs_b,
        data={**c.data.inputs, "y": c.data.labels},
        loss_a=float(c.a.arrays["loss"]),
        loss_b=float(c.b.arrays["loss"]),
        unit=c.unit,
        gradients_a={
            link.a.name: link.pick_a(c.a.arrays[f"gradient/{link.a.name}"]) for link in trained(c, "gradient")
        },
        gradients_b={link.a.name: link.to_a(c.b.arrays[f"gradient/{link.b.name}"]) for link in slopes},
        weights={link.a.name: link.pick_a(c.a.start[link.a.name]) for link in slopes},
    )


def trained(c: Comparison, group: str) -> list[Link]:
    """The links whose tensors both sides have in this group, whole and not as sketches."""
    found = []
    for link in c.links:
        ours, theirs = c.a.arrays.get(f"{group}/{link.a.name}"), c.b.arrays.get(f"{group}/{link.b.name}")
        if ours is not None and theirs is not None and ours.size == link.a.size and theirs.size == link.b.size:
            found.append(link)
    return found


def of_gradients(c: Comparison, known: Sequence[Finding], single: bool) -> Iterator[Finding]:
    """Judged only where the passes and the loss agree: the last layer that differs is the first at fault."""
    before = ("inference", "training", "loss")
    if any(finding.phase in before or finding.signature.startswith("buffer") for finding in known):
        return
    for link in reversed(trained(c, "gradient")):
        difference = first(c, f"gradient/{link.a.name}", single)
        if difference is not None:
            yield slope_finding(c, link, difference)
            return


def slope_finding(c: Comparison, link: Link, difference: Difference) -> Finding:
    """What is differentiated otherwise: by the place where it parts, or by the gradients of a layer."""
    rounded = derivative_in_single(c, difference)
    if rounded is not None:
        return Finding("backward", link.a.layer, link.b.layer, rounded, difference)
    parted = flow_finding(c)
    if parted is not None:
        return replace(parted, difference=difference)
    cause, details = slope(c, link)
    return Finding("backward", link.a.layer, link.b.layer, cause, difference, details=details)


def derivative_in_single(c: Comparison, difference: Difference) -> Cause | None:
    """Where an engine has a constant of a derivative in float32, and no more than that differs."""
    words = [precision.in_the_derivative(side.passes[c.modes[-1]]) for side in (c.a, c.b)]
    if not any(words) or not precision.explained(difference):
        return None
    ours, theirs = (text or "float64 throughout" for text in words)
    return Cause("float32", "precision: A has {a}, B {b} (no fault of the port)", ours, theirs, precision.RELEASED)


def slope(c: Comparison, link: Link) -> tuple[Cause | None, str]:
    stopped = stopped_on_one_side(c)
    if stopped is not None:
        return stopped, ""
    ours = link.pick_a(c.a.arrays[f"gradient/{link.a.name}"])
    theirs = link.to_a(c.b.arrays[f"gradient/{link.b.name}"])
    if not theirs.any():
        return Cause("no_gradient", "no gradient reaches this parameter in B (detached, or frozen)"), ""
    if not ours.any():
        return Cause("no_gradient", "no gradient reaches this parameter in A (detached, or frozen)"), ""
    rows = still_rows(ours, theirs)
    if rows is not None:
        return rows, ""
    ratio = float((ours * theirs).sum() / (ours * ours).sum())
    if float(np.linalg.norm(theirs - ratio * ours)) <= c.unit**0.75 * float(np.linalg.norm(theirs)):
        return Cause("gradient_scale", "gradient: B's is {b} times A's", "1", f"{ratio:.4g}"), ""
    return None, "the outputs and the loss agree, what is differentiated does not"


def stopped_on_one_side(c: Comparison) -> Cause | None:
    """A value that only one side detaches: the passes agree, what flows back does not."""
    mode = c.modes[-1]
    passes, parted = (c.a.passes[mode], c.b.passes[mode]), c.parted(mode)
    all_a, all_b = ({op.values[0]: op for op in seen.ops if stops(op)} for seen in passes)
    ours = [at for at in all_a if not any(parted.common.same(at, other) for other in all_b)]
    theirs = [at for at in all_b if not any(parted.common.same(other, at) for other in all_a)]
    if bool(ours) == bool(theirs):
        return None
    at = ours[0] if ours else theirs[0]
    seen, op = (passes[0], all_a[at]) if ours else (passes[1], all_b[at])
    words = ("stops it", "lets it through") if ours else ("lets it through", "stops it")
    line = f" ({op.line})" if op.line else ""
    return Cause("stopped", escaped(f"gradient of {origin(seen, at)}{line}") + ": A {a}, B {b}", *words)


def stops(op: Op) -> bool:
    return op.raw.rpartition(".")[2] in STOPS and len(op.values) == 1


def still_rows(ours: np.ndarray, theirs: np.ndarray) -> Cause | None:
    """Rows of a table that one side gives no gradient, as nn.Embedding's padding_idx does; the others agree."""
    if ours.ndim != 2:
        return None
    apart = np.flatnonzero(np.abs(ours - theirs).max(1) > 1e-9 * np.abs(ours).max())
    if not 0 < len(apart) < len(ours):
        return None
    for still, words in ((ours, ("none", "one")), (theirs, ("one", "none"))):
        if not still[apart].any():
            listed = ", ".join(map(str, apart[:4])) + (", ..." if len(apart) > 4 else "")
            template = f"gradient of row {listed} of the table (padding_idx): A gives it {{a}}, B {{b}}"
            return Cause("padding_idx", template, *words)
    return None


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


STOPS = ("detach", "stop_gradient", "StopGradient")  # what engines call it
CLIPS = {"clipnorm": "each norm", "global_clipnorm": "global norm", "clipvalue": "value"}


def clip_of(side: Recording) -> Clip:
    """How the optimizer says that it clips; a step of the user's own says nothing."""
    for key, kind in CLIPS.items():
        if side.optimizer and side.optimizer.get(key):
            return Clip(kind, float(side.optimizer[key]))
    return Clip()


RATES = (
    "precision: one optimizer computes its rate and constants in float32, as Keras and optax's schedules do, the other "
    "in float64"
)
FLOAT32_RATES = ("keras", "flax", "equinox", "haiku")  # APIs whose users have an optimizer that does
WEIGHT_ROUNDINGS = 16  # of a weight itself, in an update
ROUNDED = ("schedule", "clipping", "rate", "float32")
OTHERS = ("groups", "weights", "decayed", "l2")  # in a description, of more than one parameter


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
