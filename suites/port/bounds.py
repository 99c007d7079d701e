"""How far rounding can take a tensor apart on two sides, and whether two tensors differ by more."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from suites.equivalence.bounds import quantile, reach
from suites.equivalence.localise import worst

HALF = 0.5  # of the digits: where rounding may take more of them, agreement says little


@dataclass(frozen=True)
class Difference:
    """One tensor that differs by more than rounding can: its worst element, and both norms relative to A's."""

    tensor: str
    index: tuple[int, ...] | None
    a: float
    b: float
    relative: float
    bound: float
    shapes: tuple[tuple[int, ...], tuple[int, ...]]

    def words(self) -> str:
        if self.index is None:
            return f"{self.tensor} has shape {self.shapes[0]} in A and {self.shapes[1]} in B"
        place = f"{self.tensor}[{', '.join(map(str, self.index))}]" if self.index else self.tensor
        size = f"the tensor differs by {self.relative:.1e} of its norm, rounding allows {self.bound:.1e}"
        return f"{place} is {self.a:.17g} in A and {self.b:.17g} in B ({size})"


@dataclass(frozen=True)
class Outcome:
    """One tensor compared: by how much of its bound it differs, and whether the bound is too wide to say anything."""

    tensor: str
    share: float
    difference: Difference | None
    condition: float  # the bound over the unit roundoff: how much the model magnifies a rounding error

    def blind(self, unit: float) -> bool:
        """Whether rounding alone could change more than half of the digits."""
        return bool(self.condition * unit > unit**HALF)


def bound_of(truth: np.ndarray, spreads: tuple[np.ndarray | None, np.ndarray | None], unit: float) -> float:
    """How far rounding on both sides can take a tensor, absolute; one rounding on each side at least."""
    floor = 2 * unit * float(np.linalg.norm(np.ravel(truth)))
    reaches = [scaled(products) for products in spreads if products is not None and np.isfinite(products).all()]
    if len(reaches) == 1:
        reaches = reaches * 2
    return floor + math.hypot(*reaches) if reaches else floor


def scaled(products: np.ndarray) -> float:
    """`reach`, of errors so small that powers of their squares would vanish, or of which hardly any is not zero."""
    size = float(np.trace(products)) / len(products)
    if not size:
        return 0.0
    relative = products / size
    if not np.any(relative - np.diag(np.diag(relative))):
        return math.sqrt(size * quantile(1.0, len(products)))  # one number that varies: the widest of all
    return math.sqrt(size) * reach(relative)


def compare(
    name: str,
    ours: np.ndarray,
    theirs: np.ndarray,
    spreads: tuple[np.ndarray | None, np.ndarray | None],
    unit: float,
) -> Outcome:
    """A's tensor against B's in A's layout."""
    if ours.shape != theirs.shape:
        shapes = ours.shape, theirs.shape
        return Outcome(name, math.inf, Difference(name, None, math.nan, math.nan, math.inf, 0.0, shapes), 0.0)
    norm = float(np.linalg.norm(np.ravel(ours)))
    bound = bound_of(ours, spreads, unit)
    condition = bound / unit / norm if norm else 0.0
    if np.array_equal(ours, theirs, equal_nan=True):
        return Outcome(name, 0.0, None, condition)
    distance = float(np.linalg.norm(np.ravel(ours.astype(float) - theirs)))
    if distance <= bound:
        return Outcome(name, distance / bound, None, condition)
    index = worst(ours, theirs) if ours.ndim else ()
    values = float(ours[index]), float(theirs[index])
    scale = norm or 1.0
    found = Difference(name, index, *values, distance / scale, bound / scale, (ours.shape, theirs.shape))
    return Outcome(name, distance / bound if bound else math.inf, found, condition)
