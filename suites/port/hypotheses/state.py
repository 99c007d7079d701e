"""What ports get wrong in running statistics: how much of the old ones is kept, and which variance comes in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from impls.known_differences import DIFFERENCES
from suites.port.hypotheses.causes import cause, nice, short
from suites.port.hypotheses.formulas import Array, batch_variance
from suites.port.hypotheses.question import Cause

ROUNDINGS = 64  # operations on one value, generously; sums add the root of their length
VARIANCES = {"biased": "the biased one", "unbiased": "n/(n-1) times the biased one", "unknown": "another one"}


@dataclass(frozen=True)
class StateQuestion:
    """A normalisation after one pass in training mode: each side's own input (..., C), statistics before and after.

    The statistics are (mean, variance), each (C,).
    """

    x_a: Array
    x_b: Array
    before: tuple[Array, Array]
    after_a: tuple[Array, Array]
    after_b: tuple[Array, Array]
    unit: float


class Moved(NamedTuple):
    """How a layer moved its running statistics: the share of the old ones that it keeps, and which variance came in."""

    keeps: float
    variance: str  # "biased", "unbiased" or "unknown"


def explain_state(question: StateQuestion) -> list[Cause]:
    """What B does otherwise; [] where nothing, or where an input has no axis of as many channels."""
    channels = len(question.before[0])
    x_a, x_b = channels_last(question.x_a, channels), channels_last(question.x_b, channels)
    if x_a is None or x_b is None:
        return []
    a = measure_move(x_a, question.before, question.after_a, question.unit)
    b = measure_move(x_b, question.before, question.after_b, question.unit)
    found = []
    if a.keeps != b.keeps:
        inverted = abs(a.keeps + b.keeps - 1) < 1e-6
        note = "the convention is inverted, torch's momentum is 1 - Keras's" if inverted else ""
        found.append(cause("momentum", "momentum of the running statistics", _keeping(a), _keeping(b), note))
    if a.variance != b.variance and 1 not in (a.keeps, b.keeps):
        words = VARIANCES[a.variance], VARIANCES[b.variance]
        found.append(cause("running_variance", "running variance takes in", *words, released=_released(a, b)))
    return found


STARTS = {
    "": "as the first statistics say",
    "corrected": "corrected for averages that start at zero",
    "always corrected": "corrected for averages that start at zero",
}


def explain_start(a: str, b: str) -> Cause | None:
    """Averages that one side divides by 1 - momentum^n: after the first step they are those of one batch.

    Haiku's average has a setting without that. Equinox's BatchNorm has none, which no port can avoid.
    """
    if STARTS[a] == STARTS[b]:
        return None
    released = DIFFERENCES["equinox_statistics_start"].port if "always corrected" in (a, b) else ""
    return cause("statistics_start", "start of the running statistics", STARTS[a], STARTS[b], released=released)


def _keeping(moved: Moved) -> str:
    return "does not move them" if moved.keeps == 1 else f"keeps {short(moved.keeps)} of the old ones"


def _released(a: Moved, b: Moved) -> str:
    """nn.BatchNorm2d takes the unbiased variance into its running statistics, whatever a port does."""
    return DIFFERENCES["torch_running_variance"].port if {a.variance, b.variance} == {"biased", "unbiased"} else ""


def channels_last(x: Array, channels: int) -> Array | None:
    """x with its axis of so many channels last: the last one, or the first behind the examples that fits."""
    fitting = [axis for axis in (x.ndim - 1, *range(1, x.ndim - 1)) if x.shape[axis] == channels]
    return np.moveaxis(x, fitting[0], -1) if fitting else None


def measure_move(x: Array, old: tuple[Array, Array], new: tuple[Array, Array], unit: float) -> Moved:
    """Measured from the layer's own input x and its statistics (mean, variance) before and after."""
    mean = x.mean(tuple(range(x.ndim - 1)))
    step, whole = new[0] - old[0], mean - old[0]
    square = float((whole * whole).sum())
    keeps = nice(1 - float((step * whole).sum()) / square) if square else 1.0
    for name, unbiased in (("biased", False), ("unbiased", True)):
        variance = batch_variance(x, unbiased)
        expected = keeps * old[1] + (1 - keeps) * variance
        size = unit * (ROUNDINGS + np.sqrt(x.size)) * (np.abs(old[1]) + np.abs(variance) + mean**2)
        if (np.abs(expected - new[1]) <= size).all():
            return Moved(keeps, name)
    return Moved(keeps, "unknown")
