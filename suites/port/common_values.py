"""Two passes laid on each other by the numbers in them: what both compute.

Values are the same where their numbers are, whatever the order of axes (`impls.port.recorder.prints`, and the sorted
numbers where they were kept). Nothing here decides whether two models are the same: that is done by what they give. It
only serves to find the place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from suites.port.layouts import aligned
from suites.port.recording import Pass, Value

MOST_ROWS = 10_000_000  # numbers that are laid beside each other to find rows again
MASKED = 1e8  # larger numbers are masks: beside them nothing else would count


@dataclass
class Common:
    """Which values of B are which of A: every id on one side with those of the other that hold the same numbers.

    The same numbers in another order, such as an image flattened channels first, are not the same value: what goes on
    from it goes wrong. `same` allows any order of axes, and axes that one side has merged.
    """

    a: Pass
    b: Pass
    of_a: Mapping[int, frozenset[int]]
    of_b: Mapping[int, frozenset[int]]
    tolerance: float
    orders: dict[tuple[int, int, bool], bool] = field(default_factory=dict, repr=False)

    def same(self, a: int, b: int) -> bool:
        return b in self.of_a.get(a, ()) and self._aligned(a, b, merged=True)

    def repeated(self, a: int, b: int) -> bool:
        """Whether one holds the numbers of the other once for each example, as tables of positions are handed on."""
        ours, theirs = self.a.values[a].array, self.b.values[b].array
        if ours is None or theirs is None or ours.size == theirs.size or ours.dtype.kind != "f":
            return False
        small, large = sorted((ours, theirs), key=np.size)
        if large.ndim < 2 or large[0].size != small.size or small.shape[-1:] != large.shape[-1:]:
            return False
        return bool(np.allclose(large, small.reshape(large.shape[1:]), rtol=1e-9, atol=1e-12))

    def chosen(self, a: int, b: int) -> bool:
        """Whether one holds some of the other's rows (..., D), as a layer for some of the tokens does."""
        ours, theirs = self.a.values[a].array, self.b.values[b].array
        if ours is None or theirs is None or ours.size == theirs.size or min(ours.ndim, theirs.ndim) < 2:
            return False
        few, many = sorted((ours, theirs), key=np.size)
        if few.shape[-1] != many.shape[-1] or few.dtype.kind != "f" or few.size * many.size > MOST_ROWS * few.shape[-1]:
            return False
        rows, others = few.reshape(-1, few.shape[-1]), many.reshape(-1, many.shape[-1])
        nearest = np.abs(others[:, None] - rows).max(-1).argmin(0)
        return bool(np.allclose(others[nearest], rows, rtol=1e-9, atol=1e-12))

    def known_a(self, at: int) -> bool:
        """Whether B has a value of A, with the same axes in some order."""
        return any(self._aligned(at, other, merged=False) for other in self.of_a.get(at, ()))

    def known_b(self, at: int) -> bool:
        """Whether A has a value of B, with the same axes in some order."""
        return any(self._aligned(other, at, merged=False) for other in self.of_b.get(at, ()))

    def _aligned(self, a: int, b: int, merged: bool) -> bool:
        key = a, b, merged
        if key not in self.orders:
            self.orders[key] = self._compare(a, b, merged)
        return self.orders[key]

    def _compare(self, a: int, b: int, merged: bool) -> bool:
        ours, theirs = self.a.values[a].array, self.b.values[b].array
        if ours is None or theirs is None:
            return True
        return aligned(ours, theirs, max(self.tolerance, 1e-12), merged)


def common(a: Pass, b: Pass, tolerance: float) -> Common:
    """All pairs of values with the same numbers, up to `tolerance` of their norm."""
    of_a: dict[int, set[int]] = defaultdict(set)
    of_b: dict[int, set[int]] = defaultdict(set)
    for size, ours in _by_size(a.values).items():
        theirs = _by_size(b.values).get(size, [])
        if not theirs:
            continue
        prints_b = np.stack([value.print for value in theirs if value.print is not None])
        for value in ours:
            for at in np.flatnonzero(_near(value.print, prints_b, tolerance)):
                if _agree(value, theirs[at], tolerance):
                    of_a[value.id].add(theirs[at].id)
                    of_b[theirs[at].id].add(value.id)
    sides = [{at: frozenset(ids) for at, ids in side.items()} for side in (of_a, of_b)]
    return Common(a, b, sides[0], sides[1], tolerance)


def _sizes(array: np.ndarray) -> np.ndarray:
    """The numbers as they can be sorted: complex ones by how large they are."""
    return np.abs(array).ravel() if array.dtype.kind == "c" else array.ravel().astype(np.float64)


def _by_size(values: Sequence[Value]) -> dict[int, list[Value]]:
    found: dict[int, list[Value]] = defaultdict(list)
    for value in values:
        if value.print is not None:
            found[value.size].append(value)
    return found


def _near(ours: np.ndarray | None, theirs: np.ndarray, tolerance: float) -> np.ndarray:
    """Which rows of prints are `ours`. The first of a print is a size, the others are relative to it."""
    assert ours is not None
    allowed = np.full(len(ours), 8 * tolerance)
    allowed[0] = tolerance * abs(ours[0])
    with np.errstate(invalid="ignore"):
        return np.asarray(np.all(np.abs(theirs - ours) <= allowed, axis=1))


def _agree(a: Value, b: Value, tolerance: float) -> bool:
    """Whether the sorted numbers agree, where they were kept."""
    if a.array is None or b.array is None:
        return True
    ours, theirs = (np.sort(_sizes(array)) for array in (a.array, b.array))
    finite = np.abs(ours) < MASKED
    if not np.array_equal(finite, np.abs(theirs) < MASKED):
        return False
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(ours[finite]))
        return float(np.linalg.norm(ours[finite] - theirs[finite])) <= tolerance * norm
