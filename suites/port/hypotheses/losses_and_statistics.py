"""What ports get wrong besides the layers: the loss, and the running statistics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from suites.port.hypotheses.formulas import Array, sigmoid, softmax
from suites.port.hypotheses.layers import short, statistics

ROUNDINGS = 64  # operations on one value, generously; sums add the root of their length
CLIP = 1e-7  # Keras's, of probabilities


class Loss(NamedTuple):
    """A loss in the words of a report: what goes before, what is computed, and how it becomes one number."""

    before: str
    kind: str
    reduction: str
    factor: float = 1.0

    def words(self) -> str:
        applied = f"{self.before} applied first, " if self.before != "none" else ""
        half = f", times {short(self.factor)}" if self.factor != 1 else ""
        return f"{applied}{self.kind}, {self.reduction}{half}"


def one_hot(z: Array, y: Array) -> Array:
    return y if y.shape == z.shape else np.eye(z.shape[-1])[y.astype(int)]


def _log_softmax(z: Array) -> Array:
    shifted = z - z.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def _normalised(p: Array) -> Array:
    return np.asarray(np.log(np.clip(p / p.sum(-1, keepdims=True), CLIP, 1 - CLIP)))


def _like(z: Array, y: Array) -> Array:
    return y.reshape(z.shape)


def _binary(p: Array, y: Array) -> Array:
    p = np.clip(p, CLIP, 1 - CLIP)
    return np.asarray(-(_like(p, y) * np.log(p) + (1 - _like(p, y)) * np.log(1 - p)))


BEFORE: dict[str, Callable[[Array], Array]] = {"none": lambda z: z, "softmax": softmax, "sigmoid": sigmoid}
KINDS: dict[str, Callable[[Array, Array], Array]] = {  # the loss of each example (and time step)
    "cross-entropy from logits": lambda z, y: -(one_hot(z, y) * _log_softmax(z)).sum(-1),
    "cross-entropy from probabilities": lambda z, y: -(one_hot(z, y) * _normalised(z)).sum(-1),
    "cross-entropy from log-probabilities": lambda z, y: -(one_hot(z, y) * z).sum(-1),
    "binary cross-entropy from logits": lambda z, y: np.logaddexp(0.0, z) - _like(z, y) * z,
    "binary cross-entropy from probabilities": _binary,
    "squared error": lambda z, y: (z - _like(z, y)) ** 2,
    "absolute error": lambda z, y: np.abs(z - _like(z, y)),
}
REDUCTIONS: dict[str, Callable[[Array], float]] = {
    "mean": lambda each: float(each.mean()),
    "sum": lambda each: float(each.sum()),
    "sum over everything but the examples, mean over these": lambda each: float(each.sum() / len(each)),
}
FACTORS = (1.0, 0.5)


def losses(z: Array, y: Array) -> Iterator[tuple[Loss, float, float]]:
    """Every known loss of these logits, with its value and the size of what is added up in it."""
    for factor, before, kind, reduction in itertools.product(FACTORS, BEFORE, KINDS, REDUCTIONS):
        try:
            with np.errstate(all="ignore"):
                each = KINDS[kind](BEFORE[before](z), y)
        except (ValueError, IndexError):
            continue
        reduce = REDUCTIONS[reduction]
        yield Loss(before, kind, reduction, factor), factor * reduce(each), factor * reduce(np.abs(each) + 1)


def recognised(z: Array, y: Array, value: float, unit: float) -> list[Loss]:
    """The known losses that have this value, up to rounding."""
    size = unit * (ROUNDINGS + float(np.sqrt(z.size)) + float(np.max(np.abs(z), initial=0)))
    return [loss for loss, found, scale in losses(z, y) if np.isfinite(found) and abs(found - value) <= size * scale]


def explain_loss(a: tuple[Array, float], b: tuple[Array, float], y: Array, unit: float) -> tuple[str, str] | None:
    """(signature, words) for a loss of B that is not A's on B's own logits; ("", "") where it is; None: unknown."""
    (za, la), (zb, lb) = a, b
    ours, theirs = recognised(za, y, la, unit), recognised(zb, y, lb, unit)
    if set(ours) & set(theirs):
        return "", ""
    if ours and theirs:
        return _difference(ours[0], theirs[0])
    ratio = lb / la if la else float("nan")
    if za.shape == zb.shape and np.allclose(za, zb) and abs(ratio - round(ratio)) < 1e-9 and round(ratio) > 1:
        return "reduction", f"B's is {round(ratio)} times A's: a sum where A has a mean"
    return None


def _difference(a: Loss, b: Loss) -> tuple[str, str]:
    if a.before == "none" and b.before != "none" and (a.kind, a.reduction) == (b.kind, b.reduction):
        return "activation_in_loss", f"B applies the {b.before} inside the loss once more"
    logits = ("from logits" in a.kind, "from logits" in b.kind)
    if a.reduction == b.reduction and a.factor == b.factor and logits[0] != logits[1]:
        twice = ": softmax or sigmoid twice, if the model ends with it" if logits[1] else ""
        return "from_logits", f"A computes {a.words()}, B {b.words()}{twice}"
    if a.kind == b.kind and a.reduction != b.reduction:
        return "reduction", f"reduction: A takes the {a.reduction}, B the {b.reduction}"
    return "loss", f"A computes {a.words()}; B {b.words()}"


class Moved(NamedTuple):
    """How a layer moved its running statistics: the share of the old ones that it keeps, and which variance came in."""

    keeps: float
    variance: str  # "biased", "unbiased" or "unknown"


def moved(x: Array, old: tuple[Array, Array], new: tuple[Array, Array], unit: float) -> Moved:
    """Measured from the layer's own input x and its statistics (mean, variance) before and after."""
    mean, biased, unbiased = statistics(x)
    step, way = new[0] - old[0], mean - old[0]
    share = float((step * way).sum() / (way * way).sum())
    keeps = float(f"{1 - share:.6g}")
    for name, variance in (("biased", biased), ("unbiased", unbiased)):
        expected = keeps * old[1] + (1 - keeps) * variance
        size = unit * (ROUNDINGS + np.sqrt(x.size)) * (np.abs(old[1]) + np.abs(variance) + mean**2)
        if (np.abs(expected - new[1]) <= size).all():
            return Moved(keeps, name)
    return Moved(keeps, "unknown")


def explain_state(a: Moved, b: Moved) -> list[tuple[str, str]]:
    """(signature, words) of each difference."""
    found = []
    if a.keeps != b.keeps:
        inverted = abs(a.keeps + b.keeps - 1) < 1e-6
        why = ": the convention is inverted, torch's momentum is 1 - Keras's" if inverted else ""
        does = "does not move them" if b.keeps == 1 else f"keeps {short(b.keeps)}"
        words = f"momentum: A keeps {short(a.keeps)} of the old statistics, B {does}{why}"
        found.append(("momentum", words))
    if a.variance != b.variance and b.keeps != 1:
        names = {"biased": "the biased one", "unbiased": "n/(n-1) times the biased one", "unknown": "another one"}
        b_words = "n/(n-1)" if b.variance == "unbiased" else names[b.variance]
        found.append(("running_variance", f"running variance: B uses {b_words}, A {names[a.variance]}"))
    return found
