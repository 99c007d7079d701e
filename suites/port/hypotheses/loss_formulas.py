"""Losses in plain NumPy: what each element costs, and how it becomes one number."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from suites.port.hypotheses.formulas import Array, log_softmax, sigmoid, softmax

CLIP = 1e-7  # Keras's, of probabilities
Each = Callable[[Array, Array], Array]  # (outputs, labels) -> the loss of each element


def one_hot(z: Array, y: Array) -> Array:
    """Labels as a distribution; a label outside of the classes is all zeros."""
    if y.shape == z.shape:
        return y
    return np.asarray(y.astype(int)[..., None] == np.arange(z.shape[-1]), float).reshape(z.shape)


def like(z: Array, y: Array) -> Array:
    return y.reshape(z.shape)


def unit(v: Array) -> Array:
    return np.asarray(v / np.sqrt((v * v).sum(-1, keepdims=True)))


def log_of_probabilities(p: Array) -> Array:
    return np.asarray(np.log(np.clip(p / p.sum(-1, keepdims=True), CLIP, 1 - CLIP)))


LOGS: dict[str, Callable[[Array], Array]] = {  # log p of the classes, by what the outputs are taken for
    "logits": log_softmax,
    "probabilities": log_of_probabilities,
    "log-probabilities": lambda z: z,
    "logits of a softmax applied before": lambda z: log_softmax(softmax(z)),
}
SIGMOIDS: dict[str, Callable[[Array], tuple[Array, Array]]] = {  # log p, log (1 - p)
    "logits": lambda z: (-np.logaddexp(0.0, -z), -np.logaddexp(0.0, z)),
    "probabilities": lambda z: (np.log(np.clip(z, CLIP, 1 - CLIP)), np.log(1 - np.clip(z, CLIP, 1 - CLIP))),
    "logits of a sigmoid applied before": lambda z: (
        -np.logaddexp(0.0, -sigmoid(z)),
        -np.logaddexp(0.0, sigmoid(z)),
    ),
}


def cross_entropy(log_p: Array, target: Array) -> Array:
    return np.asarray(-(target * log_p).sum(-1))


def divergence(log_p: Array, target: Array) -> Array:
    """KL(target || p)."""
    return np.asarray((target * (np.log(np.where(target > 0, target, 1.0)) - log_p)).sum(-1))


def focal(log_p: Array, target: Array, gamma: float) -> Array:
    """Lin et al. (2017), equation 4."""
    return np.asarray(-(target * (1 - np.exp(log_p)) ** gamma * log_p).sum(-1))


def huber(e: Array, delta: float) -> Array:
    return np.asarray(np.where(np.abs(e) <= delta, 0.5 * e * e, delta * (np.abs(e) - 0.5 * delta)))


PLAIN: dict[str, Each] = {
    "squared error": lambda z, y: (z - like(z, y)) ** 2,
    "absolute error": lambda z, y: np.abs(z - like(z, y)),
    "log-cosh": lambda z, y: np.logaddexp(z - like(z, y), like(z, y) - z) - np.log(2.0),
    "squared logarithmic error": lambda z, y: (np.log1p(np.maximum(z, 0)) - np.log1p(like(z, y))) ** 2,
    "Poisson loss of rates": lambda z, y: z - like(z, y) * np.log(z + CLIP),
    "Poisson loss of log-rates": lambda z, y: np.exp(z) - like(z, y) * z,
    "Poisson loss of rates exp(z)": lambda z, y: np.exp(z) - like(z, y) * np.log(np.exp(z) + CLIP),
    "Poisson loss that takes rates exp(z) for their logarithms": lambda z, y: (
        np.exp(np.exp(z)) - like(z, y) * np.exp(z)
    ),
    "hinge": lambda z, y: np.maximum(1 - like(z, y) * z, 0.0),
    "hinge of labels 0 and 1": lambda z, y: np.maximum(1 - (2 * like(z, y) - 1) * z, 0.0),
    "squared hinge": lambda z, y: np.maximum(1 - like(z, y) * z, 0.0) ** 2,
    "cosine similarity": lambda z, y: (unit(z) * unit(like(z, y))).sum(-1),
    "cosine distance 1 - cos": lambda z, y: 1 - (unit(z) * unit(like(z, y))).sum(-1),
    "sum of the outputs": lambda z, y: z,
}
GAMMAS = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
ALPHAS = (0.25, 0.5, 0.75)


class Term(NamedTuple):
    """A loss of each element, in the words of a report."""

    kind: str
    taken_for: str = ""
    option: str = ""

    def words(self) -> str:
        of = f" from {self.taken_for}" if self.taken_for else ""
        return f"{self.kind}{of}{', ' + self.option if self.option else ''}"


def terms(z: Array, y: Array) -> Iterator[tuple[Term, Callable[[], Array]]]:
    """Every known loss of these outputs and labels, to be computed when asked for."""
    for kind, each in PLAIN.items():
        yield Term(kind), partial(each, z, y)
    for taken_for, log in LOGS.items():
        yield from _of_classes(taken_for, log, z, y)
    for taken_for, logs in SIGMOIDS.items():
        yield from _binary(taken_for, logs, z, y)
    yield from _overlaps(z, y)
    yield from _contrasts(z)


SMOOTH = (0.0, 1.0, 1e-3, 1e-5, 1e-6, 1e-7, 1e-8)


def _overlaps(z: Array, y: Array) -> Iterator[tuple[Term, Callable[[], Array]]]:
    """Dice losses (Milletari et al. 2016) of a mask: of each example, or of the whole batch as one."""
    if y.size != z.size or z.ndim < 2 or not np.isin(y, (0, 1)).all():
        return
    for taken_for, function in {"probabilities": lambda z: z, "logits": sigmoid}.items():
        for whole, squares, smooth in itertools.product((False, True), (False, True), SMOOTH):
            over = "over the whole batch" if whole else "of each example"
            below = ", squares below" if squares else ""
            option = f"{over}, smooth {smooth:g}{below}"
            rows = (1, -1) if whole else (len(z), -1)
            p, t = function(z).reshape(rows), y.astype(float).reshape(rows)
            yield Term("Dice loss", taken_for, option), partial(dice, p, t, smooth, squares)


def dice(p: Array, t: Array, smooth: float, squares: bool) -> Array:
    """1 - (2 sum p t + smooth) / (sum p + sum t + smooth), of each row."""
    below = (p * p).sum(1) + (t * t).sum(1) if squares else p.sum(1) + t.sum(1)
    return np.asarray(1 - (2 * (p * t).sum(1) + smooth) / (below + smooth))


def _contrasts(z: Array) -> Iterator[tuple[Term, Callable[[], Array]]]:
    """Of similarities (N, N) of which the diagonal is right (van den Oord et al. 2018; both ways in CLIP)."""
    if z.ndim != 2 or z.shape[0] != z.shape[1]:
        return
    ways = {"from rows to columns": (z,), "from columns to rows": (z.T,), "mean of both directions": (z, z.T)}
    for option, sides in ways.items():
        yield Term("contrastive cross-entropy", "", option), partial(contrast, sides)


def contrast(sides: Sequence[Array]) -> Array:
    return np.asarray(np.mean([-np.diagonal(log_softmax(z)) for z in sides], axis=0))


def _of_classes(
    taken_for: str, log: Callable[[Array], Array], z: Array, y: Array
) -> Iterator[tuple[Term, Callable[[], Array]]]:
    yield Term("cross-entropy", taken_for), lambda: cross_entropy(log(z), one_hot(z, y))
    if y.shape == z.shape:
        yield from _divergences(taken_for, log, z, y)
    for gamma in GAMMAS:
        option = f"gamma {gamma:g}"
        yield Term("focal loss", taken_for, option), partial(_focal, log, z, y, gamma)


def _focal(log: Callable[[Array], Array], z: Array, y: Array, gamma: float) -> Array:
    return focal(log(z), one_hot(z, y), gamma)


def _divergences(
    taken_for: str, log: Callable[[Array], Array], z: Array, y: Array
) -> Iterator[tuple[Term, Callable[[], Array]]]:
    yield Term("KL divergence", taken_for), lambda: divergence(log(z), one_hot(z, y))
    yield Term("KL divergence, each class", taken_for), lambda: _each_class(log(z), one_hot(z, y))


def _each_class(log_p: Array, target: Array) -> Array:
    return np.asarray(target * (np.log(np.where(target > 0, target, 1.0)) - log_p))


def _binary(
    taken_for: str, logs: Callable[[Array], tuple[Array, Array]], z: Array, y: Array
) -> Iterator[tuple[Term, Callable[[], Array]]]:
    def each(gamma: float = 0.0, alpha: float | None = None) -> Array:
        target = one_hot(z, y)
        one, zero = logs(z)
        ahead, behind = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
        positive = ahead * target * (1 - np.exp(one)) ** gamma * one
        return np.asarray(-positive - behind * (1 - target) * (1 - np.exp(zero)) ** gamma * zero)

    yield Term("binary cross-entropy", taken_for), each
    for gamma in GAMMAS:
        yield Term("binary focal loss", taken_for, f"gamma {gamma:g}"), partial(each, gamma)
        for alpha in ALPHAS:
            option = f"gamma {gamma:g}, alpha {alpha:g}"
            yield Term("binary focal loss", taken_for, option), partial(each, gamma, alpha)
