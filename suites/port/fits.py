"""Whether two arrays are the same up to a share of their norm, or one of them a multiple of the other."""

from __future__ import annotations

import math

import numpy as np

CLOSE = 1e-9  # of the norm: two float64 computations of the same are this near


def near(a: np.ndarray, b: np.ndarray, limit: float = CLOSE) -> bool:
    if a.shape != b.shape:
        return False
    return bool(np.linalg.norm(a - b) <= limit * max(np.linalg.norm(a), np.linalg.norm(b)))


def multiple(a: np.ndarray, b: np.ndarray, limit: float = CLOSE) -> float | None:
    """The number that A is multiplied by to be B; None where no number does that, or A is zero."""
    square = float(np.vdot(a, a).real)
    if a.shape != b.shape or not square:
        return None
    factor = float(np.vdot(a, b).real) / square
    fits = math.isfinite(factor) and np.linalg.norm(b - factor * a) <= limit * np.linalg.norm(b)
    return factor if fits else None
