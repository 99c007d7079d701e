"""CTC (Graves et al. 2006) in plain NumPy: of logits (N, T, C) and labels (N, L), the blank first or last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from suites.port.hypotheses.formulas import Array, log_softmax
from suites.port.hypotheses.loss_formulas import Term

MOST = 1 << 20  # numbers in what is summed over
SERIES = 3  # axes of (N, T, C)


def ctc_terms(z: Array, y: Array) -> Iterator[tuple[Term, Callable[[], Array]]]:
    """The losses of each example, where the shapes are such."""
    if z.ndim != SERIES or y.ndim != 2 or len(z) != len(y) or y.dtype.kind not in "iu" or z.size > MOST:
        return
    if not 0 < y.shape[1] <= z.shape[1] or y.max(initial=0) >= z.shape[-1]:
        return
    for blank, words in ((0, "the blank is class 0"), (z.shape[-1] - 1, "the blank is the last class")):
        for divided in (False, True):
            option = words + (", each divided by the length of its labels" if divided else "")
            yield Term("CTC loss", "", option), partial(ctc, z, y, blank, divided)


def ctc(z: Array, y: Array, blank: int, divided: bool) -> Array:
    logs = log_softmax(z)
    kept = [[int(label) for label in row if label >= 0] for row in y]
    found = np.array([-_log_chance(log_p, row, blank) for log_p, row in zip(logs, kept, strict=True)])
    if not divided:
        return found
    return np.asarray(found / [max(len(row), 1) for row in kept])


def _log_chance(log_p: Array, labels: list[int], blank: int) -> float:
    """The logarithm of the chance of all paths that give these labels: the forward algorithm."""
    path = [blank, *(each for label in labels for each in (label, blank))]
    found = np.full(len(path), -np.inf)
    found[:2] = log_p[0, path[:2]]
    for row in log_p[1:]:
        before = found.copy()
        for at, label in enumerate(path):
            ways = [before[at], before[at - 1] if at else -np.inf]
            if at > 1 and label not in (blank, path[at - 2]):
                ways.append(before[at - 2])
            found[at] = np.logaddexp.reduce(ways) + row[label]
    return float(np.logaddexp.reduce(found[-2:]))
