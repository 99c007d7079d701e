"""From a comparison to findings: where the two models part, and what the difference is called.

Every layer is judged on its own: A's formula, applied to the input that B's layer really had, against B's output. So a
port with three slips gets three findings, and what merely follows from them gets none. A layer without a formula can
be judged only as long as everything before it agrees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from suites.equivalence.compare import normwise
from suites.port.align import Match, Tap
from suites.port.check import MODES, Comparison, Difference, Side
from suites.port.hypotheses.case import FORMULAS, Case
from suites.port.hypotheses.convolution_and_images import padding
from suites.port.hypotheses.layers import explain
from suites.port.hypotheses.losses_and_statistics import LossQuestion, explain_loss
from suites.port.hypotheses.optimizers import explain_steps
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.state import StateQuestion, explain_state
from suites.port.hypotheses.steps import Run, StepsQuestion
from suites.port.match import Pair
from suites.runner.workers import Arrays

RECURRENT = ("lstm", "gru")
EXAMPLES = 4  # of a batch that a layer is computed anew for, where its examples do not depend on each other
UNKNOWN = "not recognised"
WAY_OUT = "; if the next kernel's rows are permuted to match"


@dataclass(frozen=True)
class Finding:
    """One difference that does not follow from another one."""

    phase: str
    layer: str
    layer_b: str
    signature: str  # "" where it is not recognised
    words: str
    difference: Difference | None = None
    released: bool = False  # a property of a released framework, which no port can avoid

    @property
    def recognised(self) -> bool:
        return bool(self.signature)


def findings(c: Comparison) -> list[Finding]:
    """All of them, in the order in which a mistake travels."""
    found = list(_born_nan(c))
    for mode in MODES:
        seen = _named_from_b(c, f"forward, {mode}", list(_forward(c, mode, found)))
        found += [f for f in seen if not any(_same(f, known) for known in found)]
    found += _state(c, [f.layer for f in found if f.signature == "mode"])
    found += _loss(c, found)
    found += _gradients(c, found)
    found += _named_from_b(c, "optimizer", list(_optimizer(c, found)))
    return found


def _named_from_b(c: Comparison, phase: str, found: list[Finding]) -> list[Finding]:
    """What A's formulas do not name may have a name as a change of B's: A is then the side with a layer of its own."""
    unknown = [finding for finding in found if not finding.recognised]
    if not unknown or any(pair.rows for pair in c.pairs):
        return found
    other = mirrored(c)
    seen = _optimizer(other, []) if phase == "optimizer" else _forward(other, phase.partition(", ")[2], [])
    named = [_swapped(f, unknown[0].difference) for f in seen if f.recognised]
    places = {(f.layer, f.layer_b) for f in found if f.recognised}
    named = [f for f in named if (f.layer, f.layer_b) not in places]
    return [f for f in found if f.recognised] + named if named else found


def mirrored(c: Comparison) -> Comparison:
    """The same comparison with A and B in each other's place. Only A was run with errors: it has no bounds."""
    pairs = [Pair(pair.b, pair.a) for pair in c.pairs]
    start = {pair.b.name: pair.carry(c.start[pair.a.name]) for pair in c.pairs}
    matches = {
        mode: [Match(m.b, m.a, m.extra_b, m.extra_a) for m in matches] for mode, matches in c.matches.items()
    }  # fmt: skip
    return Comparison(c.b, c.a, pairs, start, c.data, matches)


def _swapped(finding: Finding, difference: Difference | None) -> Finding:
    words = re.sub(r"\b[AB]\b", lambda letter: "BA"["AB".index(letter[0])], finding.words.partition(WAY_OUT)[0])
    a, b = finding.layer_b, finding.layer
    return replace(finding, layer=a, layer_b=b, words=words, difference=difference)


def _same(one: Finding, other: Finding) -> bool:
    return (one.layer, one.layer_b, one.words) == (other.layer, other.layer_b, other.words)


def _born_nan(c: Comparison) -> Iterator[Finding]:
    """The first tap of a side whose output is not finite although its input is, where the other side's is."""
    for mode in MODES:
        for matched in c.matches[mode]:
            finite = [np.isfinite(side.tap(mode, t, "out")).all() for side, t in ((c.a, matched.a), (c.b, matched.b))]
            if finite[0] == finite[1]:
                continue
            side, tap, name = (c.b, matched.b, "B") if finite[0] else (c.a, matched.a, "A")
            inside = "" if np.isfinite(side.tap(mode, tap, "in")).all() else " (or between it and the layer before)"
            words = f"the first value of {name} that is not finite is born in {tap.title}{inside}"
            yield Finding(f"forward, {mode}", matched.a.title, matched.b.title, "nan", words, c.outputs(mode, matched))
            return


def _forward(c: Comparison, mode: str, known: list[Finding]) -> Iterator[Finding]:
    """Layers and what lies between them, in order."""
    phase, clean = f"forward, {mode}", not known
    before: Match | None = None
    for matched in c.matches[mode]:
        difference = c.outputs(mode, matched)
        layers = [(matched.a, *each) for each in _layer(c, mode, before, matched)]
        found = [*_gap(c, mode, before, matched), *layers]
        if difference and not found and clean:
            found = [(matched.a, "", f"{UNKNOWN}: {_place(c, mode, before, matched)}")]
        for tap, signature, words in found:
            words += _way_out(c, mode, matched) if signature == "flatten_order" else ""
            yield Finding(phase, tap.title, matched.b.title, signature, words, difference)
        clean = clean and not found and difference is None
        before = matched


def _way_out(c: Comparison, mode: str, flatten: Match) -> str:
    """A port may mean it, and permute the rows of the next kernel: the line of the mapping file that says so."""
    shape = c.a.tap(mode, flatten.a, "in").shape[1:]
    later = (name for m in c.matches[mode] if m.a.at > flatten.a.at for name in m.a.weights)
    return f'{WAY_OUT}, map it: [rows] "{next(later, "")}" = {list(shape)}'


def _place(c: Comparison, mode: str, before: Match | None, matched: Match) -> str:
    """Whether the inputs differ already."""
    ours = c.a.arrays[f"{mode}/{matched.a.at}/in"]
    theirs = c.theirs(mode, matched.b, "in", ours)
    if ours.shape != theirs.shape or c.difference(f"{mode}/{matched.a.at}/in", theirs) is None:
        return f"{matched.b.title} of B computes something else than {matched.a.title} of A"
    return f"between {before.a.title if before else 'the data'} and {matched.a.title} B computes something else"


def _gap(c: Comparison, mode: str, before: Match | None, matched: Match) -> list[tuple[Tap, str, str]]:
    """What happens between two matched layers, judged where in A nothing or one known thing does: (tap of A, ...)."""
    if before is None:
        return []
    ours_in, ours_out = c.a.tap(mode, before.a, "out"), c.a.tap(mode, matched.a, "in")
    theirs_in = c.theirs(mode, before.b, "out", ours_in)
    theirs_out = c.theirs(mode, matched.b, "in", ours_out)
    a_passes, b_passes = np.array_equal(ours_in, ours_out), np.array_equal(theirs_in, theirs_out)
    case = _between(c, mode, matched.extra_a, (ours_in, ours_out), (theirs_in, theirs_out))
    if case is None or case.agrees():
        return []
    here = matched.extra_a[0] if matched.extra_a else matched.a
    ours, theirs = (" and ".join(tap.title for tap in side) for side in (matched.extra_a, matched.extra_b))
    if ours and b_passes:
        return [(here, "missing", f"A applies {ours} here, B applies nothing")]
    if named := explain(case):
        return [(here, *each) for each in _told(named)]
    if ours and theirs:
        return [(here, "another", f"A applies {ours} here, B applies {theirs}")]
    return [(here, "extra", f"B applies {theirs} here, A applies nothing")] if theirs and a_passes else []


Span = tuple[np.ndarray, np.ndarray]  # an input and an output


def _between(c: Comparison, mode: str, extra: tuple[Tap, ...], ours: Span, theirs: Span) -> Case | None:
    """What A does between two matched layers, as a case for B; None where it can't be told."""
    if len(extra) > 1 or (extra and extra[0].kind not in FORMULAS):
        return None
    tap = extra[0] if extra else None
    kind, config, weights = (tap.kind, tap.config, _weights(c, tap)) if tap else ("output", {}, {})
    own, other = (Case(kind, config, weights, *span, mode == "training", c.unit) for span in (ours, theirs))
    return other if own.agrees() and ours[1].shape == theirs[1].shape else None


def _weights(c: Comparison, tap: Tap) -> Arrays:
    """A's weights in a tap, by their roles."""
    return {p.a.role: c.start[p.a.name] for p in c.pairs if p.a.name in tap.weights}


def _layer(c: Comparison, mode: str, before: Match | None, matched: Match) -> list[tuple[str, str]]:
    """The layer itself, if A's formula of it computes what A computed."""
    if matched.a.kind not in FORMULAS or matched.a.kind in ("output", "data"):
        return []
    ours, theirs = cases(c, mode, before, matched)
    if not ours.agrees() or theirs.agrees():
        return []
    words = f"given its own input, {matched.b.title} of B does not compute what {matched.a.title} of A does"
    return _told(explain(theirs)) or [("", f"{UNKNOWN}: {words}")]


def _told(causes: Sequence[Cause]) -> list[tuple[str, str]]:
    return [(cause.signature, cause.words()) for cause in causes]


def cases(c: Comparison, mode: str, before: Match | None, matched: Match) -> tuple[Case, Case]:
    """The layer as A has it, and A's layer on B's input with B's output."""
    a, b = matched.a, matched.b
    x, y = c.a.tap(mode, a, "in"), c.a.tap(mode, a, "out")
    given, output = c.theirs(mode, b, "in", x), c.theirs(mode, b, "out", y)
    config = dict(a.config)
    if a.kind in RECURRENT and output.ndim == y.ndim - 1:  # B gives the last step only
        config, y = {**config, "return_sequences": False}, y[:, -1]
    elif a.kind in RECURRENT:
        config["return_sequences"] = y.ndim == x.ndim
    spans = given.shape != x.shape and before is not None and "padding" in config
    if spans and before:  # one of them pads before the layer: what both have in common begins with the layer before
        x, given = c.a.tap(mode, before.a, "out"), c.theirs(mode, before.b, "out", c.a.tap(mode, before.a, "out"))
    count = len(x) if a.kind == "batchnorm" or x.shape[:1] != y.shape[:1] else EXAMPLES
    ours = Case(a.kind, config, _weights(c, a), x[:count], y[:count], mode == "training", c.unit)
    if spans and not ours.agrees():
        ours = next((o for proposal in padding(ours) if (o := ours.given(proposal.changes)).agrees()), ours)
    return ours, replace(ours, x=given[:count], y=output[:count])


def _state(c: Comparison, judged: list[str]) -> Iterator[Finding]:
    """Running statistics after one pass in training mode, from each layer's own input; not of `judged` layers."""
    for matched in c.matches["training"]:
        roles = {p.a.role: p for p in c.pairs if p.a.name in matched.a.weights and not p.a.trainable}
        if (
            matched.a.kind != "batchnorm"
            or matched.a.title in judged
            or set(roles) != {"moving_mean", "moving_variance"}
        ):
            continue
        pairs = roles["moving_mean"], roles["moving_variance"]
        old = c.start[pairs[0].a.name], c.start[pairs[1].a.name]
        x_a, x_b = c.a.tap("training", matched.a, "in"), c.b.tap("training", matched.b, "in")
        question = StateQuestion(x_a, x_b, old, _new(c.a, pairs, "a"), _new(c.b, pairs, "b"), c.unit)
        differences = [d for d in (c.parameter("state", p) for p in pairs) if d]
        for cause in explain_state(question) if differences else ():
            difference = differences[-1] if cause.signature == "running_variance" else differences[0]
            yield Finding("state", matched.a.title, matched.b.title, cause.signature, cause.words(), difference)


def _new(side: Side, pairs: Sequence[Pair], letter: str) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = (side.arrays[f"state/{getattr(p, letter).name}"] for p in pairs)
    return mean, variance


def _loss(c: Comparison, known: list[Finding]) -> Iterator[Finding]:
    if "loss" not in c.a.arrays or "loss" not in c.b.arrays:
        return
    difference = c.difference("loss", c.b.arrays["loss"])
    outputs = [{"out": side.tap("training", side.taps["training"][-1], "out")} for side in (c.a, c.b)]
    values = [float(side.arrays["loss"]) for side in (c.a, c.b)]
    gradients = _gradients_of_both(c)
    question = LossQuestion(
        outputs_a=outputs[0],
        outputs_b=outputs[1],
        data={"y": c.data["y"]},
        loss_a=values[0],
        loss_b=values[1],
        unit=c.unit,
        gradients_a=gradients[0],
        gradients_b=gradients[1],
        weights=c.start,
    )
    found = explain_loss(question)
    if found:
        for cause in found:
            yield Finding("loss", "loss", "loss", cause.signature, cause.words(), difference)
    elif difference and found is None and not known:
        words = f"{UNKNOWN}: the outputs agree, the losses do not"
        yield Finding("loss", "loss", "loss", "", words, difference)


def _gradients_of_both(c: Comparison) -> tuple[Arrays, Arrays]:
    """In A's names and layouts."""
    pairs = [p for p in c.pairs if p.a.trainable and f"gradient/{p.a.name}" in c.a.arrays]
    ours = {p.a.name: c.a.arrays[f"gradient/{p.a.name}"] for p in pairs}
    return ours, {p.a.name: p.back(c.b.arrays[f"gradient/{p.b.name}"]) for p in pairs}


def _gradients(c: Comparison, known: list[Finding]) -> Iterator[Finding]:
    """Judged only where the training pass and the loss agree: the last layer that differs is the first at fault."""
    if any(f.phase in ("forward, training", "forward, inference", "loss") for f in known) or "loss" not in c.b.arrays:
        return
    for pair in reversed([p for p in c.pairs if p.a.trainable and f"gradient/{p.a.name}" in c.a.arrays]):
        difference = c.parameter("gradient", pair)
        if difference:
            yield Finding("backward", pair.a.layer, pair.b.layer, *_slope(c, pair), difference)
            return


def _slope(c: Comparison, pair: Pair) -> tuple[str, str]:
    ours = c.a.arrays[f"gradient/{pair.a.name}"]
    theirs = pair.back(c.b.arrays[f"gradient/{pair.b.name}"])
    if not theirs.any():
        return "no_gradient", "no gradient reaches this parameter in B (detached, or frozen)"
    ratio = float((ours * theirs).sum() / (ours * ours).sum())
    if normwise(theirs, ratio * ours) * float(np.linalg.norm(ours)) <= c.bound(f"gradient/{pair.a.name}"):
        return "gradient_scale", f"the gradient of B is {ratio:.4g} times A's"
    return "", f"{UNKNOWN}: the forward pass and the loss agree, what is differentiated does not"


def _optimizer(c: Comparison, known: list[Finding]) -> Iterator[Finding]:
    """The update rule, judged from each side's own gradients."""
    trainable = [pair for pair in c.pairs if pair.a.trainable]
    if not all(_stepped(side, letter, trainable) for side, letter in ((c.a, "a"), (c.b, "b"))):
        return
    differences = {pair.a.name: d for pair in trainable if (d := c.parameter("step0", pair))}
    twice = [p for p in trainable if c.b.file.api == "torch" and (p.a.kind, p.a.role) == ("lstm", "bias")]
    rest = [pair for pair in trainable if pair not in twice]
    roles = {pair.a.name: pair.a.role for pair in rest}
    found = explain_steps(StepsQuestion(_run(c, c.a, "a", rest), _run(c, c.b, "b", rest), c.unit, roles))
    first = next(iter(differences.values()), None)
    for cause in found or ():
        released = bool(cause.released)
        yield Finding("optimizer", "optimizer", "optimizer", cause.signature, cause.words(), first, released)
    biases = [f for pair in twice if pair.a.name in differences for f in _two_biases(c, pair, differences[pair.a.name])]
    yield from biases
    left = differences.keys() - {pair.a.name for pair in twice if biases}
    if left and (found is None or not found) and not known:
        words = f"{UNKNOWN}: the gradients agree, the update does not"
        yield Finding("optimizer", "optimizer", "optimizer", "", words, first)


def _stepped(side: Side, letter: str, pairs: Sequence[Pair]) -> bool:
    return bool(pairs) and f"step0/{getattr(pairs[0], letter).name}" in side.arrays


def _run(c: Comparison, side: Side, letter: str, pairs: Sequence[Pair]) -> Run:
    """The steps of one side, in A's names and layouts."""

    def of(group: str) -> Arrays:
        native = {pair: side.arrays[f"{group}/{getattr(pair, letter).name}"] for pair in pairs}
        return {pair.a.name: pair.back(array) if letter == "b" else array for pair, array in native.items()}

    count = sum(f"step{n}/{getattr(pairs[0], letter).name}" in side.arrays for n in range(9))
    start = {pair.a.name: c.start[pair.a.name] for pair in pairs}
    each = {pair.a.name: side.optimizer for pair in pairs} if side.optimizer else {}
    return Run(start, [of(f"slope{n}") for n in range(count)], [of(f"step{n}") for n in range(count)], each)


def _two_biases(c: Comparison, pair: Pair, difference: Difference) -> Iterator[Finding]:
    """torch's LSTM has two biases of which only the sum counts; an optimizer moves both."""
    start = c.start[pair.a.name]
    ours, theirs = (c.a.arrays[f"step0/{pair.a.name}"] - start, c.b.arrays[f"step0/{pair.b.name}"] - start)
    if float(np.linalg.norm(theirs - 2 * ours)) < 0.1 * float(np.linalg.norm(ours)):
        words = f"bias of {pair.a.layer}: B has two biases, both are trained, and their sum moves twice as far"
        yield Finding("optimizer", pair.a.layer, pair.b.layer, "two_biases", words, difference)
