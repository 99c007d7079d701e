"""What ports get wrong in a loss: what is computed, of what, over which elements, and by what it is divided."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from suites.port.hypotheses.causes import cause, nice, short, spell
from suites.port.hypotheses.contrasts import contrasts
from suites.port.hypotheses.ctc import ctc_terms
from suites.port.hypotheses.distillations import distillations
from suites.port.hypotheses.formulas import Array
from suites.port.hypotheses.loss_formulas import LOGS, Term, cross_entropy, one_hot, terms
from suites.port.hypotheses.loss_weights import Side, explain_weights
from suites.port.hypotheses.measured_losses import measured_losses
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.triplets import triplets

ROUNDINGS = 64  # operations on one value, generously; sums add the root of their length
CTC, SINGLE = "CTC loss", 2.0**-21  # which Keras computes in float32
DIGITS = 4  # of a weight of a class that a person writes
LABELS = 12  # so many different labels are tried as the ignored one


Slopes = tuple[Mapping[str, Array], Mapping[str, Array]]


@dataclass(frozen=True)
class LossQuestion:
    """What both sides made of their own outputs; gradients in A's names and layouts."""

    outputs_a: Mapping[str, Array]
    outputs_b: Mapping[str, Array]
    data: Mapping[str, Array]
    loss_a: float
    loss_b: float
    unit: float
    gradients_a: Mapping[str, Array] = field(default_factory=dict)
    gradients_b: Mapping[str, Array] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    penalty_a: float = 0.0
    penalty_b: float = 0.0
    slopes: Callable[[], Slopes | None] = lambda: None  # of the losses in outputs, A's and B's, by A's paths


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
    return _measured(question)


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


def _sizes(question: LossQuestion) -> list[tuple[int, str]]:
    """Numbers that a constant ratio can be, with their names."""
    z = next(iter(question.outputs_a.values()))
    found = [(z.shape[-1], "classes" if z.ndim > 1 else "outputs"), (len(z), "examples")]
    found += [(int(n), "places") for n in z.shape[1:-1]]
    return [*found, (z.size, "elements"), (math.prod(z.shape[:-1]), "examples and places")]


def _constant(question: LossQuestion) -> str:
    """B's loss by A's in words, where the outputs agree."""
    ours, theirs = question.loss_a - question.penalty_a, question.loss_b - question.penalty_b
    if not ours or not _outputs_agree(question):
        return ""
    return f"times {spell(theirs / ours, _sizes(question))}"


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


def _measured(question: LossQuestion) -> list[Cause] | None:
    """What can be measured where one of the losses has no name: a penalty, smoothing, weights, a constant ratio."""
    for hypothesis in (_same_function, _smoothing, _class_weights, _ratio, _weights, _penalty):
        found = hypothesis(question)
        if found is not None:
            return found
    return None


def _close(a: float, b: float, unit: float) -> bool:
    return abs(a - b) <= 1e4 * unit * max(abs(a), abs(b), 1.0)


def _outputs_agree(question: LossQuestion) -> bool:
    pairs = zip(question.outputs_a.values(), question.outputs_b.values(), strict=False)
    limit = 1e5 * question.unit
    return all(x.shape == y.shape and np.allclose(x, y, rtol=limit, atol=limit) for x, y in pairs)


def _same_function(question: LossQuestion) -> list[Cause] | None:
    """Equal on equal outputs: nothing more can be asked."""
    ours, theirs = question.loss_a - question.penalty_a, question.loss_b - question.penalty_b
    return [] if _outputs_agree(question) and _close(ours, theirs, question.unit) else None


class Smoothing(NamedTuple):
    """How much of the label is given away, and over how many classes."""

    share: float
    spread: str

    def words(self) -> str:
        return f"{short(self.share)} spread over {self.spread}" if self.share else "none"


def _smoothings(outputs: Mapping[str, Array], y: Array, value: float, unit: float) -> list[Smoothing]:
    """The loss is linear in the share: measured, and believed where it is a number that a person writes."""
    found = []
    for z in outputs.values():
        if z.ndim < 2 or (y.shape != z.shape and y.shape != z.shape[:-1]):
            continue
        for log in LOGS.values():
            with np.errstate(all="ignore"):
                log_p, target = log(z), one_hot(z, y)
                plain, all_of_them = cross_entropy(log_p, target).mean(), -log_p.sum(-1).mean()
            classes = z.shape[-1]
            if classes == 1:
                continue
            spreads = {
                "all K classes": all_of_them / classes,
                "the other K - 1 classes": (all_of_them - plain) / (classes - 1),
            }
            for name, rest in spreads.items():
                share = (value - plain) / (rest - plain) if rest != plain else math.nan
                share = 0.0 if abs(share) < 1e4 * unit else share
                if math.isfinite(share) and 0 <= nice(share, 3) < 1 and _close(share, nice(share, 3), unit):
                    found.append(Smoothing(nice(share, 3), name))
    return found


def _smoothing(question: LossQuestion) -> list[Cause] | None:
    if "y" not in question.data:
        return None
    y = question.data["y"]
    ours = _smoothings(question.outputs_a, y, question.loss_a - question.penalty_a, question.unit)
    theirs = _smoothings(question.outputs_b, y, question.loss_b - question.penalty_b, question.unit)
    if not ours or not theirs:
        return None
    if set(ours) & set(theirs) or (not ours[0].share and not theirs[0].share):
        return None
    pairs = [(a, b) for a in ours for b in theirs]
    a, b = min(pairs, key=lambda pair: (pair[0].share != pair[1].share, pair[0].spread != pair[1].spread))
    return [cause("label_smoothing", "label smoothing", a.words(), b.words())]


def class_weights(question: LossQuestion, side: str) -> tuple[Array, str] | None:
    """The weight of each class, from the loss and the gradient of the last bias, and what the sum is divided by.

    A cross-entropy of logits z has the gradient sum_i w[y_i] (softmax(z_i) - e[y_i]) / D in a bias that is added to z.
    """
    outputs, gradients, value = {
        "a": (question.outputs_a, question.gradients_a, question.loss_a - question.penalty_a),
        "b": (question.outputs_b, question.gradients_b, question.loss_b - question.penalty_b),
    }[side]
    z, y = next(iter(outputs.values())), question.data["y"]
    if z.ndim < 2 or y.shape != z.shape[:-1] or y.dtype.kind not in "iu":
        return None
    log_p, labels = log_of(z), y.reshape(-1)
    slopes = np.exp(log_p) - one_hot(z, y)
    classes = np.unique(labels)
    columns = [np.append(slopes[y == k].sum(0), -log_p[y == k][:, k].sum()) for k in classes]
    for gradient in gradients.values():
        if gradient.shape != z.shape[-1:]:
            continue
        wanted = np.append(gradient, value)
        if not np.isfinite(wanted).all():
            return None
        shares, *_ = np.linalg.lstsq(np.stack(columns, 1), wanted, rcond=None)
        if np.allclose(np.stack(columns, 1) @ shares, wanted, rtol=1e-9, atol=1e-12):
            counts = np.array([(labels == k).sum() for k in classes])
            return _as_written(shares, counts) if _set_by_somebody(shares, counts) else None
    return None


def log_of(z: Array) -> Array:
    return LOGS["logits"](z)


def _set_by_somebody(shares: Array, counts: Array) -> bool:
    """Whether weights are short numbers, or balance the classes: some numbers fit any loss of their classes."""
    weights = shares * counts.sum()
    if np.isclose((shares * counts).sum(), 1.0, rtol=1e-9):  # known up to a factor
        return True
    short_ones = [nice(float(w), DIGITS) for w in weights]
    return np.allclose(weights, short_ones, rtol=1e-8, atol=1e-10) or np.allclose(
        weights * counts, weights[0] * counts[0]
    )


def _as_written(shares: Array, counts: Array) -> tuple[Array, str]:
    """Weights as a person writes them. Those that are divided by their own sum are known up to a factor only."""
    if not np.isclose((shares * counts).sum(), 1.0, rtol=1e-9):
        return np.array([nice(float(w), 6) for w in shares * counts.sum()]), "divided by the number of examples"
    bases = [float(shares.max()), *(n * float(w) for w in shares if w for n in (1.0, 0.5, 0.1))]
    for base in bases:
        rounded = np.array([nice(float(w), 3) for w in shares / base])
        if np.allclose(shares / base, rounded, rtol=1e-8, atol=1e-10):
            return rounded, "divided by the sum of the weights"
    return shares / bases[0], "divided by the sum of the weights"


def _class_weights(question: LossQuestion) -> list[Cause] | None:
    if "y" not in question.data:
        return None
    ours, theirs = class_weights(question, "a"), class_weights(question, "b")
    if ours is None or theirs is None or min(ours[0].min(), theirs[0].min()) < 0:
        return None  # no loss of classes has weights that are negative
    if _proportional(ours[0], theirs[0]) and ours[1] != theirs[1]:
        return [cause("class_weights", "cross-entropy with class weights", ours[1], theirs[1])]
    if np.allclose(ours[0], ours[0][0]) and np.allclose(theirs[0], theirs[0][0]):
        return None  # one constant: no matter of classes
    a, b = (_weights_in_words(*each) for each in (ours, theirs))
    return [cause("class_weights", "class weights", a, b)] if a != b else None


def _proportional(a: Array, b: Array) -> bool:
    return not np.allclose(a, a[0]) and np.allclose(a / a.max(), b / b.max(), rtol=1e-9)


def _weights_in_words(weights: Array, divided: str) -> str:
    if np.allclose(weights, weights[0]):
        return "none" if weights[0] == 1 or divided.endswith("weights") else f"{short(float(weights[0]))} for all"
    return f"{', '.join(short(float(w)) for w in weights)} ({divided})"


def _ratio(question: LossQuestion) -> list[Cause] | None:
    """One constant for the loss and for all gradients, where the outputs agree."""
    if not _outputs_agree(question):
        return None
    ours, theirs = question.loss_a - question.penalty_a, question.loss_b - question.penalty_b
    ratio = theirs / ours if ours else math.nan
    slopes = [_ratio_of(question.gradients_a[n], question.gradients_b[n]) for n in question.gradients_a]
    known = [slope for slope in slopes if slope is not None]
    if not math.isfinite(ratio) or any(not _close(slope, known[0], 1e5 * question.unit) for slope in known):
        return None
    if known and not _close(ratio, known[0], 1e3 * question.unit):
        constant = f"{short(theirs - ours)} more" if _close(known[0], 1.0, 1e3 * question.unit) else ""
        return [cause("loss_constant", "loss (gradients agree)", "as it is", constant)] if constant else None
    words = spell(ratio, _sizes(question))
    if not known and words == short(ratio) and not _close(ratio, nice(ratio, 3), question.unit):
        return None
    name = "sign" if _close(ratio, -1.0, question.unit) else "reduction"
    return [cause(name, "loss and its gradients", "as they are", f"times {words}")]


def _weights(question: LossQuestion) -> list[Cause] | None:
    """What elements of an output weigh, by the gradients of the losses in it."""
    slopes = question.slopes()
    if slopes is None:
        return None
    agree = _outputs_agree(question)
    for path in slopes[0].keys() & slopes[1].keys() & question.outputs_a.keys() & question.outputs_b.keys():
        a, b = Side(question.outputs_a[path], slopes[0][path]), Side(question.outputs_b[path], slopes[1][path])
        found = explain_weights(a, b, question.data, agree)
        if found:
            return found
    return None


def _ratio_of(a: Array, b: Array) -> float | None:
    """b / a where that is one number; None where a is zero, NaN where it is not."""
    if a.shape != b.shape:
        return math.nan
    square = float((a * a).sum())
    if not square:
        return None
    ratio = float((a * b).sum()) / square
    return ratio if np.linalg.norm(b - ratio * a) <= 1e-9 * np.linalg.norm(b) else math.nan


def _penalty(question: LossQuestion) -> list[Cause] | None:
    """A sum of squares of weights in one of the losses."""
    if not _outputs_agree(question):
        return None
    more = question.loss_b - question.loss_a
    kernels = {name: w for name, w in question.weights.items() if w.ndim > 1}
    for words, chosen in {"all kernels": kernels, "all weights": question.weights}.items():
        square = sum(float((w * w).sum()) for w in chosen.values())
        share = more / square if square else math.nan
        if math.isfinite(share) and share and _close(share, nice(share, 3), 10 * question.unit):
            penalty = f"adds {short(abs(share))} times the sum of squares of {words}"
            a, b = ("leaves it out", penalty) if share > 0 else (penalty, "leaves it out")
            return [cause("penalty", "penalty in the loss", a, b)]
    return None
