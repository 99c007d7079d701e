"""A weight of A, or a part of it, and the place in B that holds the same numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from suites.port.recording import Weight
from suites.runner.workers import Arrays

FREE = ("custom", "buffer", "module")  # kinds whose layout is the user's own
# Other orders of the axes of a matrix or a kernel, the usual ones first.
SWAPS = {
    2: ((1, 0),),
    3: ((2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 0, 2)),
    4: ((2, 3, 1, 0), (3, 2, 0, 1), (0, 1, 3, 2), (1, 0, 2, 3)),
    5: ((2, 3, 4, 1, 0), (4, 3, 0, 1, 2), (0, 1, 2, 4, 3)),
}


@dataclass(frozen=True)
class Link:
    """`a[part_a]` of A is `b[part_b]` of B; parts are places along the last axis, None: all of it.

    `rows_a` and `rows_b` are places along the axis before it, of a kernel that the other side has in two.

    `layer_a` and `layer_b` are the place along the first axis of a weight that holds those of several layers.

    `axes` are A's axes in B's order; `rows` are (H, W, C) of a kernel behind a flatten that B has as (C, H, W).
    """

    a: Weight
    b: Weight
    axes: tuple[int, ...] | None = None
    rows: tuple[int, int, int] | None = None
    part_a: tuple[int, ...] | None = None
    part_b: tuple[int, ...] | None = None
    rows_a: tuple[int, ...] | None = None
    rows_b: tuple[int, ...] | None = None
    layer_a: int | None = None
    layer_b: int | None = None

    @property
    def plain(self) -> bool:
        """Whether both sides have the same numbers in the same order."""
        parts = (self.axes, self.rows, self.part_a, self.part_b, self.rows_a, self.rows_b, self.layer_a, self.layer_b)
        return all(part is None for part in parts)

    def pick_a(self, array: np.ndarray) -> np.ndarray:
        """What of A's array is compared."""
        return picked(array if self.layer_a is None else array[self.layer_a], self.part_a, self.rows_a)

    def to_b(self, array: np.ndarray) -> np.ndarray:
        """A's array as B takes it."""
        array = self.pick_a(array)
        if self.rows:
            array = channels_first(array, self.rows)
        if self.axes is not None:
            return array.transpose(self.axes)
        if self.rows_b is not None:
            return array
        shape = self.b.shape if self.layer_b is None else self.b.shape[1:]
        shape = shape if self.part_b is None else (*shape[:-1], len(self.part_b))
        if math.prod(shape) == array.size:
            return array.reshape(shape)
        return array.sum(0) if array.ndim == 2 else np.stack([array, np.zeros_like(array)])  # a GRU's biases

    def to_a(self, array: np.ndarray) -> np.ndarray:
        """B's array, or its gradient, as A has it."""
        array = picked(array if self.layer_b is None else array[self.layer_b], self.part_b, self.rows_b)
        if self.rows_a is not None or self.rows_b is not None:
            return array
        shape = self.a.shape if self.layer_a is None else self.a.shape[1:]
        shape = shape if self.part_a is None else (*shape[:-1], len(self.part_a))
        if self.axes is not None:
            array = array.transpose(np.argsort(self.axes))
        elif math.prod(shape) == array.size:
            array = array.reshape(shape)
        else:
            return array[0] if array.ndim == 2 else np.stack([array, array])
        return channels_last(array, self.rows) if self.rows else array

    def swapped(self) -> Link:
        """The same with A and B in each other's place."""
        axes = None if self.axes is None else tuple(int(n) for n in np.argsort(self.axes))
        parts = {"part_a": self.part_b, "part_b": self.part_a, "rows_a": self.rows_b, "rows_b": self.rows_a}
        turned = replace(self, a=self.b, b=self.a, axes=axes, layer_a=self.layer_b, layer_b=self.layer_a)
        return replace(turned, **parts)  # type: ignore[arg-type]


def picked(array: np.ndarray, part: tuple[int, ...] | None, rows: tuple[int, ...] | None) -> np.ndarray:
    """Places along the last axis, and along the one before it."""
    array = array if rows is None else array[..., list(rows), :]
    return array if part is None else array[..., list(part)]


def carry(links: Iterable[Link], start: Arrays) -> Arrays:
    """B's weights from A's."""
    found: Arrays = {}
    for link in links:
        array = link.to_b(start[link.a.name])
        if link.rows_b is not None:
            whole = found.setdefault(link.b.name, np.zeros(link.b.shape))
            columns = range(link.b.shape[-1]) if link.part_b is None else link.part_b
            whole[..., np.array(link.rows_b)[:, None], np.array(columns)] = array
        elif link.part_b is None and link.layer_b is None:
            found[link.b.name] = np.ascontiguousarray(array)
        else:
            whole = found.setdefault(link.b.name, np.zeros(link.b.shape))
            place = whole if link.layer_b is None else whole[link.layer_b]
            place[..., slice(None) if link.part_b is None else list(link.part_b)] = array
    return found


def channels_first(array: np.ndarray, rows: tuple[int, int, int]) -> np.ndarray:
    """`array` with its first axis, which runs over (H, W, C), in the order C, H, W."""
    split = array.reshape(*rows, *array.shape[1:])
    return np.moveaxis(split, 2, 0).reshape(array.shape)


def channels_last(array: np.ndarray, rows: tuple[int, int, int]) -> np.ndarray:
    """The way back."""
    height, width, channels = rows
    split = array.reshape(channels, height, width, *array.shape[1:])
    return np.moveaxis(split, 0, 2).reshape(array.shape)


def plain(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without the axes of one element."""
    return tuple(n for n in shape if n != 1)


def link(a: Weight, b: Weight) -> Link | None:
    """How the numbers of `a` can be those of `b`; None where the shapes forbid it."""
    known = a.kind == b.kind and a.kind not in ("custom", "buffer")
    if known and a.role == b.role == "bias" and a.kind == "gru" and a.shape[-1:] == b.shape[-1:]:
        return Link(a, b)
    if a.shape == b.shape or plain(a.shape) == plain(b.shape):
        return Link(a, b)
    if a.kind not in FREE and b.kind not in FREE:
        return None  # both are in the canonical layout
    for axes in SWAPS.get(len(a.shape), ()):
        if tuple(a.shape[i] for i in axes) == b.shape:
            return Link(a, b, axes)
    return None
