"""Which numbers of a tensor are compared by their norm: infinities, NaN and masks would hide all others."""

from __future__ import annotations

import numpy as np

MASK = 1e8  # as large as this is a mask, where there are ordinary numbers beside it
ORDINARY = 1e4
HUGE = 1e100  # the square of a larger one may not be a number


def counted(array: np.ndarray) -> np.ndarray:
    """True for each number that counts; the others (`-inf`, NaN, the -1e9 of a mask) are compared one by one."""
    if array.dtype.kind != "f":
        return np.ones(array.shape, dtype=bool)
    with np.errstate(invalid="ignore"):
        size = np.abs(array)
        usual = size < ORDINARY
        limit = MASK if np.any(usual & (size > 0)) else HUGE
        return np.asarray(size < limit)


def without_masks(array: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The array with zeros for the numbers that `among` does not count."""
    return array if np.all(among) else np.where(among, array, 0.0)
