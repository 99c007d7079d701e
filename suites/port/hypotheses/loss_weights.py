"""By what a loss weighs its elements: measured from its gradient in each output, which a weight multiplies.

A cross-entropy of logits z has the gradient p - t in z, t the label and p what the model makes of z: whatever is left
of a gradient is the element's weight. It is told where it follows a rule: one for labels that are 1 (`pos_weight`), one
for each class, for each output, for what a mask keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from suites.port.hypotheses.causes import cause, nice, short
from suites.port.hypotheses.formulas import Array, sigmoid
from suites.port.hypotheses.question import Cause

CLOSE = 1e-9  # relative: weights that are one number
SMALL = 1e-9  # of the largest: a gradient without a weight in it
SHOWN = 6
DIGITS = 4  # of a weight that a person writes
MOST_GROUPS = 40
SEVERAL = 2  # examples that agree on a number that nobody would write


class Side(NamedTuple):
    """An output, and the gradient of the loss in it."""

    z: Array
    slopes: Array


def explain_weights(a: Side, b: Side, data: Mapping[str, Array], agree: bool) -> list[Cause]:
    """What the losses weigh otherwise; [] where that is not seen. `agree`: whether the outputs do."""
    y = data.get("y")
    if y is None or a.z.shape != b.z.shape or a.slopes.shape != a.z.shape or b.slopes.shape != b.z.shape:
        return []
    with np.errstate(all="ignore"):
        found = of_bits(a, b, y)
        return found or (of_anything(a, b, {**data, "y": y}) if agree else [])


def of_bits(a: Side, b: Side, y: Array) -> list[Cause]:
    """The weights of a binary cross-entropy: those of labels that are 1, and those of each output."""
    if y.size != a.z.size or not np.isin(y, (0, 1)).all():
        return []
    ours, theirs = (bits(side, y.reshape(a.z.shape)) for side in (a, b))
    if ours is None or theirs is None:
        return []
    names = {
        "pos_weight": "weight of labels that are 1 (pos_weight)",
        "loss_weights": "weights of the outputs in the loss",
    }
    return [
        cause(key, names[key], *words)
        for key, words in zip(names, told(ours, theirs), strict=True)
        if len(set(words)) > 1
    ]


class Bits(NamedTuple):
    """Weights of the outputs (C,) of one side: of labels that are 1 beside those that are 0, and of both."""

    positive: Array
    each: Array


def bits(side: Side, y: Array) -> Bits | None:
    columns = y.shape[-1] if y.ndim > 1 else 1
    for base in (sigmoid(side.z) - y, (side.z - y) / (side.z * (1 - side.z))):
        factors = (side.slopes / base).reshape(-1, columns) * y.size
        one, zero = (of_columns(factors, y.reshape(-1, columns) == label) for label in (1, 0))
        if one is None or zero is None:
            continue
        return Bits(one / zero, np.where(np.isnan(zero), one, zero))
    return None


def of_columns(factors: Array, chosen: Array) -> Array | None:
    """The one number of the chosen elements of each column, NaN where there are none; None where they are several."""
    found = []
    for column, among in zip(factors.T, chosen.T, strict=True):
        values = column[among]
        if len(values) and not (np.isfinite(values).all() and np.allclose(values, values[0], rtol=CLOSE)):
            return None
        found.append(float(values[0]) if len(values) else np.nan)
    return np.array(found)


def told(ours: Bits, theirs: Bits) -> Iterator[tuple[str, str]]:
    """Of both kinds of weights A's and B's words, which are one where they do not differ."""
    for a, b in zip(ours, theirs, strict=True):
        both = ~(np.isnan(a) | np.isnan(b))
        if np.allclose(a[both], b[both], rtol=1e2 * CLOSE):
            yield "none", "none"
        else:
            yield listed(a), listed(b)


def listed(weights: Array) -> str:
    known = weights[~np.isnan(weights)]
    if not len(known) or np.allclose(known, 1.0, rtol=1e2 * CLOSE):
        return "none"
    if np.allclose(known, known[0], rtol=1e2 * CLOSE):
        return f"{short(nice(float(known[0]), DIGITS))} for all"
    words = ["?" if np.isnan(w) else short(nice(float(w), DIGITS)) for w in weights[:SHOWN]]
    return ", ".join(words) + (", ..." if len(weights) > SHOWN else "")


def of_anything(a: Side, b: Side, data: Mapping[str, Array]) -> list[Cause]:
    """B's gradient by A's, element by element, where that is one number for each label, output or example."""
    counted = (np.abs(a.slopes) > SMALL * np.abs(a.slopes).max()) | (np.abs(b.slopes) > SMALL * np.abs(b.slopes).max())
    ratio = np.where(counted, b.slopes / a.slopes, np.nan)
    known = ratio[counted]
    if not len(known) or np.allclose(known, known[0], rtol=1e2 * CLOSE):
        return []  # one constant, which has words of its own
    for what, groups in groupings(a.z, data):
        found = by_groups(ratio, groups)
        if found is not None:
            words = [f"{factor} where {what} is {name}" for factor, name in found]
            more = ", ..." if len(words) > SHOWN else ""
            return [cause("loss_weights", "weights in the loss, by its gradient", "1", ", ".join(words[:SHOWN]) + more)]
    return []


def groupings(z: Array, data: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """A number for each element of an output, by which it may be weighed."""
    for name, array in data.items():
        what = "the label" if name == "y" else name
        if array.dtype.kind in "biu" or np.isin(array, (0, 1)).all():
            if array.size == z.size:
                yield what, array.reshape(z.shape)
            elif array.shape == z.shape[:-1]:
                yield what, np.broadcast_to(array[..., None], z.shape)
    for axis, words in (
        (z.ndim - 1, "the output"),
        (0, "the example"),
        *((at, "the place") for at in range(1, z.ndim - 1)),
    ):
        if z.ndim > 1:
            places = np.arange(z.shape[axis]).reshape([-1 if at == axis else 1 for at in range(z.ndim)])
            yield words, np.broadcast_to(places, z.shape)


def by_groups(ratio: Array, groups: Array) -> list[tuple[str, str]] | None:
    """The factor of each group, of those with one factor together; None where elements of a group have several."""
    labels = np.unique(groups)
    if not 1 < len(labels) <= MOST_GROUPS:
        return None
    names: dict[str, list[str]] = {}
    for label in labels:
        chosen = (groups == label) & ~np.isnan(ratio)
        values = ratio[chosen]
        if not len(values):
            continue
        factor = float(values[0])
        if not np.isinf(values).all() and not np.allclose(values, factor, rtol=1e2 * CLOSE, atol=CLOSE):
            return None
        if not (is_written(factor) or examples_in(chosen) >= SEVERAL):
            return None  # any function of the loss of an example gives it a weight of its own
        word = "not counted by A" if math.isinf(factor) else short(nice(factor, DIGITS))
        names.setdefault(word, []).append(short(float(label)))
    return [(factor, one_of(same)) for factor, same in sorted(names.items(), key=lambda each: len(each[1]))]


def is_written(factor: float) -> bool:
    return math.isinf(factor) or math.isclose(factor, nice(factor, DIGITS), rel_tol=CLOSE, abs_tol=CLOSE)


def examples_in(chosen: Array) -> int:
    """In how many lines along the last axis something is chosen."""
    return int(chosen.any(-1).sum()) if chosen.ndim > 1 else int(chosen.sum())


def one_of(names: Sequence[str]) -> str:
    return " or ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
