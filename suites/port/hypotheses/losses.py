"""What ports get wrong in a loss: what is computed, of what, over which elements, and by what it is divided."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from suites.port.hypotheses.causes import cause, short, spell
from suites.port.hypotheses.contrasts import contrasts
from suites.port.hypotheses.ctc import ctc_terms
from suites.port.hypotheses.distillations import distillations
from suites.port.hypotheses.formulas import Array
from suites.port.hypotheses.loss_formulas import LOGS, Term, cross_entropy, one_hot, terms
from suites.port.hypotheses.loss_measures import measure
from suites.port.hypotheses.loss_question import LossQuestion, outputs_agree, sizes_of
from suites.port.hypotheses.measured_losses import measured_losses
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.triplets import triplets

ROUNDINGS = 64  # operations on one value, generously; sums add the root of their length
CTC, SINGLE = "CTC loss", 2.0**-21  # which Keras computes in float32
LABELS = 12  # so many different labels are tried as the ignored one


class Loss(NamedTuple):
    """A loss in the words of a report: of which output, what is computed, over what, and how it becomes one number."""

    output: str
    term: Term
    over: str  # "all elements" or those that are kept
    reduction: str
    factor: float = 1.0


class Kept(NamedTuple):
    """The elements that count."""

    words: str
    mask: Array | None


def explain_loss(question: LossQuestion) -> list[Cause] | None:
    """What B's loss does otherwise on its own outputs; [] where it is A's, None where it is not recognised."""
    if not (math.isfinite(question.loss_a) and math.isfinite(question.loss_b)):
        return None
    ours = recognised(question.outputs_a, question.data, question.loss_a - question.penalty_a, question.unit)
    theirs = recognised(question.outputs_b, question.data, question.loss_b - question.penalty_b, question.unit)
    if set(ours) & set(theirs):
        return []
    if ours and theirs:
        return [_nearest(ours, theirs, _constant(question))]
    return measure(question)


def recognised(outputs: Mapping[str, Array], data: Mapping[str, Array], value: float, unit: float) -> list[Loss]:
    """The known losses that have this value, up to rounding."""
    found = []
    for name, z in outputs.items():
        for label, y in data.items():
            if len(y) == len(z) and (label == "y" or "y" not in data):
                found += list(_of_one_output(name, z, y, data, value, unit))
    size = sum(array.size for array in outputs.values())
    for kind, option in contrasts(outputs, value, unit * (ROUNDINGS + size) * max(abs(value), 1.0)):
        found.append(Loss("", Term(kind, "", option), "all elements", "mean"))
    for kind, option, reduction in triplets(outputs, value, unit * (ROUNDINGS + size) * max(abs(value), 1.0)):
        found.append(Loss("", Term(kind, "", option), "all elements", reduction))
    return found


def _of_one_output(
    name: str, z: Array, y: Array, data: Mapping[str, Array], value: float, unit: float
) -> Iterator[Loss]:
    size = unit * (ROUNDINGS + math.sqrt(z.size) + float(np.max(np.abs(z), initial=0)))
    limit = size * (abs(value) + 1)
    for term, reduction in (*measured_losses(z, y, value, limit), *distillations(z, y, value, limit)):
        yield Loss(name, term, "all elements", reduction)
    for shifted in shifts(z, y, value, size * (abs(value) + 1)):
        yield Loss(name, *shifted)
    for term, compute in (*terms(z, y), *ctc_terms(z, y)):
        try:
            with np.errstate(all="ignore"):
                each = np.asarray(compute())
        except (ValueError, IndexError):
            continue
        if not each.ndim:  # a loss of classes, of outputs that have none
            continue
        for kept in _kept(each, y, data):
            for reduction, found, scale in _reductions(each, kept.mask):
                scale = max(scale, abs(found) * SINGLE / size) if term.kind == CTC else scale
                for factor in _factors(value, found, scale * size):
                    yield Loss(name, term, kept.words, reduction, factor)


def shifts(z: Array, y: Array, value: float, limit: float) -> Iterator[tuple[Term, str, str]]:
    """(term, over, reduction): a cross-entropy of sequences, each step against the label of another."""
    if z.ndim != 3 or y.shape != z.shape[:-1] or y.dtype.kind not in "iu" or z.shape[1] < 3:
        return
    for words, logits, labels in (
        ("each step against the label of the next one", z[:, :-1], y[:, 1:]),
        ("each step against the label of the one before", z[:, 1:], y[:, :-1]),
        ("each step against its own label, without the last", z[:, :-1], y[:, :-1]),
    ):
        each = cross_entropy(LOGS["logits"](logits), one_hot(logits, labels))
        for kept in _kept(each, labels, {}):
            for reduction, found, scale in _reductions(each, kept.mask):
                if abs(found - value) <= limit * max(scale, 1.0):
                    yield Term("cross-entropy", "logits", words), kept.words, reduction


def _factors(value: float, found: float, limit: float) -> Iterator[float]:
    """Of 1, -1, 1/2 and 2 those by which `found` is `value`."""
    if not math.isfinite(found) or found == 0:
        return
    for factor in (1.0, -1.0, 0.5, 2.0):
        if abs(value - factor * found) <= abs(factor) * limit:
            yield factor


def _kept(each: Array, y: Array, data: Mapping[str, Array]) -> Iterator[Kept]:
    yield Kept("all elements", None)
    if y.dtype.kind in "iu" and y.shape == each.shape:
        for label in np.unique(y)[:LABELS]:
            yield Kept(f"all but those labelled {label}", y != label)
    for name, array in data.items():
        if array is not y and array.shape == each.shape and array.dtype.kind in "biu":
            yield Kept(f"those where {name} is not 0", array != 0)


def _reductions(each: Array, mask: Array | None) -> Iterator[tuple[str, float, float]]:
    """(name, value, the size of what was added up)."""
    size = float(np.where(np.isfinite(each), np.abs(each) + 1, 0.0).sum())
    if mask is not None:
        each = np.where(mask, each, 0.0)
    total = float(each.sum())
    yield "sum", total, size
    divisors = {"mean": each.size, "sum, divided by the examples": len(each)}
    if mask is not None:
        divisors = {"mean over these": int(mask.sum()), "sum over these, divided by the number of all": each.size}
        divisors["sum over these, divided by the examples"] = len(each)
        kept = mask.reshape(len(mask), -1).sum(1)
        if each.ndim > 1 and (kept > 0).all():
            shares = (each.reshape(len(each), -1).sum(1) / kept).mean()
            yield "mean over these of each example, then over the examples", float(shares), size / len(each)
    if each.ndim > 1 and mask is None:
        divisors["sum, divided by the last axis"] = each.shape[-1]
    for name, divisor in divisors.items():
        if divisor:
            yield name, total / divisor, size / divisor
    if mask is None:
        yield "root of the mean", math.sqrt(abs(total) / each.size), math.sqrt(size / each.size)


def _constant(question: LossQuestion) -> str:
    """B's loss by A's in words, where the outputs agree."""
    ours, theirs = question.loss_a - question.penalty_a, question.loss_b - question.penalty_b
    if not ours or not outputs_agree(question):
        return ""
    return f"times {spell(theirs / ours, sizes_of(question))}"


def _nearest(ours: list[Loss], theirs: list[Loss], constant: str) -> Cause:
    """The pair of losses that differs in the fewest things."""

    def apart(pair: tuple[Loss, Loss]) -> tuple[int, int, int]:
        fields = sum(x != y for x, y in zip(*pair, strict=True))
        odd = sum(abs(loss.factor) != 1 for loss in pair)
        return fields, odd, sum(x != y for x, y in zip(pair[0].term, pair[1].term, strict=True))

    return _difference(*min(((a, b) for a in ours for b in theirs), key=apart), constant)


def _difference(a: Loss, b: Loss, constant: str) -> Cause:
    if a.term.kind != b.term.kind:
        return cause("loss", "loss", _full(a), _full(b))
    if a.term.taken_for != b.term.taken_for:
        twice = "softmax or sigmoid twice, if the model ends with it" if "logits" in b.term.taken_for else ""
        subject = f"{a.term.kind} takes the outputs for"
        return cause("from_logits", subject, a.term.taken_for, b.term.taken_for, twice)
    if a.term.option != b.term.option:
        name = "focal" if "focal" in a.term.kind else "loss"
        return cause(name, a.term.kind, a.term.option or "plain", b.term.option or "plain")
    if a.over != b.over:
        return cause("ignored", f"{a.term.kind} counts", a.over, b.over)
    if a.reduction != b.reduction:
        return cause("reduction", f"reduction of the {a.term.kind}", a.reduction, b.reduction, constant)
    if a.factor == -b.factor:
        return cause("sign", f"sign of the {a.term.kind}", _signed(a), _signed(b))
    return cause("factor", f"{a.term.kind} is multiplied by", short(a.factor), short(b.factor))


def _signed(loss: Loss) -> str:
    return f"{'-' if loss.factor < 0 else '+'}{loss.term.kind}"


def _full(loss: Loss) -> str:
    before = f"{short(loss.factor)} times " if loss.factor != 1 else ""
    over = "" if loss.over == "all elements" else f" over {loss.over}"
    return f"{before}{loss.term.words()}, {loss.reduction}{over}"
