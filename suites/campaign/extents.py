"""How far what is known to differ reaches: which elements of a case, and by how much, so that it excuses nothing else.

Each function takes the case and what is right, and gives what may be added to the bound of each element (or of all):
0 where nothing is known, infinity where the element is known to be another one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from impls.floating_types import FLOATING, UNIT
from suites.campaign.case import Case
from suites.campaign.operations import gamma
from suites.campaign.shapes import same_pads

NORM_EPSILON = 1e-5  # of the operations that normalise
EDGE = 5  # histograms are asked for from -5 to 5
SMALLEST_ERF = 2.0**-20  # in 16 bits torch.erf is off by so much, whatever is left of the result


def _any(mask: Any) -> Any:
    """All elements, where the mask holds anywhere."""
    return math.inf if np.any(mask) else 0.0


def _at(mask: Any) -> Any:
    return np.where(mask, math.inf, 0.0)


def outside_of_the_range(case: Case, truth: np.ndarray) -> Any:
    """No bin has more of these than there are."""
    return np.count_nonzero(~(np.abs(case.arrays["x"]) <= EDGE))


def on_an_edge(case: Case, truth: np.ndarray) -> Any:
    """The same of those that may be counted in the bin beside theirs."""
    return np.count_nonzero(np.isin(case.arrays["x"], np.linspace(-EDGE, EDGE, int(case.options["n"]) + 1)))


def zeros(case: Case, truth: np.ndarray) -> Any:
    return _at(case.arrays["x"] == 0)


def any_zero(case: Case, truth: np.ndarray) -> Any:
    return _any(case.arrays["x"] == 0)


def empty_segments(case: Case, truth: np.ndarray) -> Any:
    return _at(truth == -math.inf)


def ties(case: Case, truth: np.ndarray) -> Any:
    ordered = np.sort(case.arrays["x"], axis=-1)
    return _any(ordered[..., 1:] == ordered[..., :-1])


def _from(truth: np.ndarray, other: Any) -> Any:
    """As far as the number that is known to come out lies from the one that is right."""
    return np.abs(np.asarray(other, np.longdouble) - truth) if np.shape(other) == truth.shape else 0.0


def repeated_edge(case: Case, truth: np.ndarray) -> Any:
    """Padding that repeats the edge in the place of what lies beside it."""
    count = int(case.options["n"])
    return _from(truth, np.pad(case.arrays["x"], [(count, count)], "edge"))


def counted_edge(case: Case, truth: np.ndarray) -> Any:
    """SAME that pads more on one side of an axis: the edge is repeated, on every side, and counted."""
    x, taps, strides = case.arrays["x"], case.options["taps"], case.options["strides"]
    axes = zip(x.shape[1:-1], taps, strides, strict=True)
    edges = [same_pads(*axis) for axis in axes]
    if case.options["padding"] != "same" or all(before == after for before, after in edges):
        return 0.0
    padded = np.pad(x, [(0, 0), *edges, (0, 0)], "edge")
    views = np.lib.stride_tricks.sliding_window_view(padded.astype(np.float64), taps, tuple(range(1, x.ndim - 1)))
    steps = (slice(None), *[slice(None, None, stride) for stride in strides])
    return _from(truth, views[steps].mean(tuple(range(-len(taps), 0))))


def summed_twice(case: Case, truth: np.ndarray) -> Any:
    """Sparsemax with the cumulative sums of the support added up, in the place of the last of them."""
    x = case.arrays["x"].astype(np.longdouble)
    ordered = -np.sort(-x, -1)
    sums, places = np.cumsum(ordered, -1), np.arange(1, x.shape[-1] + 1)
    margin = ordered - (sums - 1) / places
    inside = margin > 0
    threshold = (np.where(inside, sums, 0).sum(-1, keepdims=True) - 1) / inside.sum(-1, keepdims=True)
    near = np.abs(margin) <= x.shape[-1] * UNIT[case.dtype] * (1 + np.abs(sums))  # rounding decides who is in it
    return np.where(near.any(-1, keepdims=True), np.inf, _from(truth, np.maximum(x - threshold, 0)))


def more_than_two_axes(case: Case, truth: np.ndarray) -> Any:
    return _any(case.arrays["x"].ndim > 2)


def more_than_one_axis(case: Case, truth: np.ndarray) -> Any:
    return _any(case.arrays["x"].ndim > 1)


def near_overflow(case: Case, truth: np.ndarray) -> Any:
    return _at(np.abs(truth) >= FLOATING[case.dtype].largest / 4)


def nan(case: Case, truth: np.ndarray) -> Any:
    return _at(np.isnan(case.arrays["x"]))


def lines_with_nan(case: Case, truth: np.ndarray) -> Any:
    """Where a reduction, or a sort, has met a NaN."""
    x, axis = case.arrays["x"], case.options["axis"]
    return _at(np.isnan(x).any(axis, keepdims=truth.ndim == x.ndim)) if x.dtype.kind == "f" else 0.0


def smallest_integers(case: Case, truth: np.ndarray) -> Any:
    x, y = case.arrays["x"], case.arrays["y"]
    least = np.iinfo(x.dtype).min
    return _at((x == least) | (y == least))


def one_number(case: Case, truth: np.ndarray) -> Any:
    return _any(truth.size == 1)


def second_is_longer(case: Case, truth: np.ndarray) -> Any:
    return _any(case.arrays["y"].size > case.arrays["x"].size)


def half_a_turn_and_more(case: Case, truth: np.ndarray) -> Any:
    return _any(case.options["k"] % 4 in (2, 3))


def stride_above_the_window(case: Case, truth: np.ndarray) -> Any:
    if case.options["padding"] != "same":
        return 0.0
    pairs = zip(case.options["strides"], case.arrays["w"].shape, strict=False)
    return _any([stride >= window + 2 for stride, window in pairs])


def rounded_exponent(case: Case, truth: np.ndarray) -> Any:
    """exp(x log 2) with the product rounded: x ulps of the result."""
    return 2 * UNIT[case.dtype] * np.abs(truth * case.arrays["x"])


def cancellation_of_one(case: Case, truth: np.ndarray) -> Any:
    """exp(x) - 1, of which the exponential is an ulp or two of 1 off; scaled by less than two."""
    return 8 * UNIT[case.dtype]


def rounded_quantile(case: Case, truth: np.ndarray) -> Any:
    """The quantile of (1 + x) / 2, which is rounded: by the slope of erfinv, sqrt(pi) / 2 exp(y^2)."""
    return 4 * UNIT[case.dtype] * np.exp(truth * truth)


def small_in_16_bits(case: Case, truth: np.ndarray) -> Any:
    return SMALLEST_ERF


def relative(size: float) -> Any:
    """So much of the right number, whatever rounding is."""
    return lambda case, truth: size * np.abs(truth)


def absolute(size: float) -> Any:
    return lambda case, truth: size


def near_the_mean(case: Case, truth: np.ndarray) -> Any:
    """Incomplete gamma functions where torch takes Temme's series: both arguments large, and near each other."""
    a, x = case.arrays["x"], case.arrays["y"]
    return np.where((a > 20) & (np.abs(x - a) < 0.4 * a), 2e-9, 0.0)


def tails(case: Case, truth: np.ndarray) -> Any:
    """log_ndtr: three terms of a series on the left; on the right the logarithm of a number near 1."""
    x = case.arrays["x"]
    return np.where(x > 0, 16 * UNIT[case.dtype], np.where(x < -5, 5e-9 * np.abs(truth), 0.0))


def variance_of_squares(case: Case, truth: np.ndarray) -> Any:
    """E[x^2] - E[x]^2: gamma_n of the mean square is left of it."""
    x, axis = case.arrays["x"].astype(np.longdouble), case.options["axis"]
    return 4 * gamma(x.shape[axis] + 5, UNIT[case.dtype]) * np.mean(x * x, axis)


def normalised_by_squares(case: Case, truth: np.ndarray) -> Any:
    """What that does to what is divided by its root; anything, where nothing is left of it."""
    x, axes = case.arrays["x"].astype(np.longdouble), case.options.get("axis")
    groups = case.options.get("groups")
    if groups:
        x, axes = x.reshape(len(x), -1, groups, x.shape[-1] // groups), (1, 3)
    variance = x.var(axes, keepdims=True) + NORM_EPSILON
    lost = 4 * gamma(x.size // variance.size + 10, UNIT[case.dtype]) * np.mean(x * x, axes, keepdims=True) / variance
    return np.where(lost > 0.3, np.inf, lost * np.abs(truth.reshape(x.shape))).reshape(truth.shape)


def beyond_float32(case: Case, truth: np.ndarray) -> Any:
    return _at((np.abs(truth) > FLOATING["float32"].largest) | (np.abs(truth) < FLOATING["float32"].tiny))


def power_beyond_the_type(case: Case, truth: np.ndarray) -> Any:
    return _at(np.abs(case.arrays["i"]) >= (127 if case.dtype == "float32" else 1022))
