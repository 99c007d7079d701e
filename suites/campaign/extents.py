"""How far what is known to differ reaches: which elements of a case, and by how much, so that it excuses nothing else.

Each function takes the case and what is right, and gives what may be added to the bound of each element (or of all):
0 where nothing is known, infinity where the element is known to be another one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from suites.campaign.case import Case
from suites.campaign.operations import LARGEST, UNIT

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


def same_padding(case: Case, truth: np.ndarray) -> Any:
    return _any(case.options["padding"] == "same")


def more_than_two_axes(case: Case, truth: np.ndarray) -> Any:
    return _any(case.arrays["x"].ndim > 2)


def more_than_one_axis(case: Case, truth: np.ndarray) -> Any:
    return _any(case.arrays["x"].ndim > 1)


def near_overflow(case: Case, truth: np.ndarray) -> Any:
    return _at(np.abs(truth) >= LARGEST[case.dtype] / 4)


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
