"""Losses of a student whose labels are a teacher's logits (Hinton et al. 2015); the temperature is measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from suites.port.hypotheses.causes import nice, short
from suites.port.hypotheses.formulas import Array, log_softmax
from suites.port.hypotheses.loss_formulas import Term
from suites.port.hypotheses.measured_losses import CLOSE, DIGITS, crossings

GRID = [float(at) for at in np.geomspace(0.1, 100.0, 25)]  # temperatures between which a loss is looked for
MOST = 20_000  # numbers of an output for which all temperatures are tried
Each = Callable[[Array, Array], Array]  # of the logarithms of the student's and the teacher's shares


def divergence(log_p: Array, log_q: Array) -> Array:
    """KL(q || p), of each class."""
    return np.asarray(np.exp(log_q) * (log_q - log_p))


DIRECTIONS: dict[str, Each] = {
    "KL(teacher || student)": divergence,
    "KL(student || teacher)": lambda log_p, log_q: divergence(log_q, log_p),
    "cross-entropy with the teacher's shares": lambda log_p, log_q: np.asarray(-np.exp(log_q) * log_p),
}


def distillations(z: Array, y: Array, value: float, limit: float) -> Iterator[tuple[Term, str]]:
    """(term, reduction) of each loss of a student z and a teacher y, both logits, that has this value."""
    if z.shape != y.shape or z.ndim < 2 or z.size > MOST or y.dtype.kind != "f" or is_of_shares(y):
        return
    divisors = [("mean", z.size), ("sum, divided by the examples", len(z)), ("sum", 1)]
    divisors += [("mean over examples and places", math.prod(z.shape[:-1]))] if z.ndim > 2 else []
    for (direction, each), squared, (reduction, divisor) in itertools.product(
        DIRECTIONS.items(), (True, False), divisors
    ):
        loss = of_temperature(each, z, y, squared, divisor)
        for temperature in crossings(lambda at, f=loss: f(at) - value, GRID):  # type: ignore[misc]
            written = nice(temperature, DIGITS)
            if not math.isclose(temperature, written, rel_tol=CLOSE) or (squared and written == 1):
                continue
            if abs(loss(written) - value) <= limit * max(written**2, 1.0) * z.size / divisor:
                times = "times its square" if squared else "not times its square"
                option = f"{direction}, temperature {short(written)}, {times if written != 1 else 'as it is'}"
                yield Term("distillation from a teacher's logits", "", option), reduction


def of_temperature(each: Each, z: Array, y: Array, squared: bool, divisor: int) -> Callable[[float], float]:
    def loss(at: float) -> float:
        total = float(each(log_softmax(z / at), log_softmax(y / at)).sum())
        return total * (at * at if squared else 1.0) / divisor

    return loss


def is_of_shares(y: Array) -> bool:
    """Whether labels are a distribution already."""
    return bool((y >= 0).all()) and np.allclose(y.sum(-1), 1.0, rtol=1e-6)
