"""What can be measured where one of two losses has no name: smoothing, class weights, a constant, a penalty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from suites.port.fits import multiple
from suites.port.hypotheses.causes import cause, nice, short, spell
from suites.port.hypotheses.formulas import Array
from suites.port.hypotheses.loss_formulas import LOGS, cross_entropy, one_hot
from suites.port.hypotheses.loss_question import LossQuestion, nearly_equal, outputs_agree, sizes_of
from suites.port.hypotheses.loss_weights import Side, explain_weights
from suites.port.hypotheses.question import Cause

DIGITS = 4  # of a weight of a class that a person writes


def measure(question: LossQuestion) -> list[Cause] | None:
    """What can be measured where one of the losses has no name: a penalty, smoothing, weights, a constant ratio."""
    for hypothesis in (_same_function, _smoothing, _class_weights, _ratio, _weights, _penalty):
        found = hypothesis(question)
        if found is not None:
            return found
    return None


def _same_function(question: LossQuestion) -> list[Cause] | None:
    """Equal on equal outputs: nothing more can be asked."""
    ours, theirs = question.loss_a - question.penalty_a, question.loss_b - question.penalty_b
    return [] if outputs_agree(question) and nearly_equal(ours, theirs, question.unit) else None


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
                if math.isfinite(share) and 0 <= nice(share, 3) < 1 and nearly_equal(share, nice(share, 3), unit):
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
    if not outputs_agree(question):
        return None
    ours, theirs = question.loss_a - question.penalty_a, question.loss_b - question.penalty_b
    ratio = theirs / ours if ours else math.nan
    slopes = [_ratio_of(question.gradients_a[n], question.gradients_b[n]) for n in question.gradients_a]
    known = [slope for slope in slopes if slope is not None]
    if not math.isfinite(ratio) or any(not nearly_equal(slope, known[0], 1e5 * question.unit) for slope in known):
        return None
    if known and not nearly_equal(ratio, known[0], 1e3 * question.unit):
        constant = f"{short(theirs - ours)} more" if nearly_equal(known[0], 1.0, 1e3 * question.unit) else ""
        return [cause("loss_constant", "loss (gradients agree)", "as it is", constant)] if constant else None
    words = spell(ratio, sizes_of(question))
    if not known and words == short(ratio) and not nearly_equal(ratio, nice(ratio, 3), question.unit):
        return None
    name = "sign" if nearly_equal(ratio, -1.0, question.unit) else "reduction"
    return [cause(name, "loss and its gradients", "as they are", f"times {words}")]


def _weights(question: LossQuestion) -> list[Cause] | None:
    """What elements of an output weigh, by the gradients of the losses in it."""
    slopes = question.slopes()
    if slopes is None:
        return None
    agree = outputs_agree(question)
    for path in slopes[0].keys() & slopes[1].keys() & question.outputs_a.keys() & question.outputs_b.keys():
        a, b = Side(question.outputs_a[path], slopes[0][path]), Side(question.outputs_b[path], slopes[1][path])
        found = explain_weights(a, b, question.data, agree)
        if found:
            return found
    return None


def _ratio_of(a: Array, b: Array) -> float | None:
    """b / a where that is one number; None where a is zero, NaN where it is not."""
    if a.shape == b.shape and not a.any():
        return None
    ratio = multiple(a, b)
    return math.nan if ratio is None else ratio


def _penalty(question: LossQuestion) -> list[Cause] | None:
    """A sum of squares of weights in one of the losses."""
    if not outputs_agree(question):
        return None
    more = question.loss_b - question.loss_a
    kernels = {name: w for name, w in question.weights.items() if w.ndim > 1}
    for words, chosen in {"all kernels": kernels, "all weights": question.weights}.items():
        square = sum(float((w * w).sum()) for w in chosen.values())
        share = more / square if square else math.nan
        if math.isfinite(share) and share and nearly_equal(share, nice(share, 3), 10 * question.unit):
            penalty = f"adds {short(abs(share))} times the sum of squares of {words}"
            a, b = ("leaves it out", penalty) if share > 0 else (penalty, "leaves it out")
            return [cause("penalty", "penalty in the loss", a, b)]
    return None
