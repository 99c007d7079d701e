"""Ways from the layout in which a framework holds a weight to Keras's, and back.

Each is a pair: `read` takes the arrays that hold a weight and gives it in Keras's layout, `write` does the opposite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impls.port.annotations import Axes, Ways


def turned(axes: Axes) -> Ways:
    """An array whose canonical axes are `axes` of its own."""
    back = tuple(np.argsort(axes))

    def read(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return arrays[0].transpose(axes)

    def write(array: np.ndarray) -> list[np.ndarray]:
        return [array.transpose(back)]

    return read, write


def folded(native: Axes, canonical: Axes) -> Ways:
    """The same numbers in the same order, in another shape."""

    def read(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return arrays[0].reshape(canonical)

    def write(array: np.ndarray) -> list[np.ndarray]:
        return [array.reshape(native)]

    return read, write


def depthwise(channels: int, shape: Axes) -> Ways:
    """(C M, 1, *window), which is `shape`, to (*window, C, M)."""
    window = tuple(shape[2:])
    axes = (*range(2, 2 + len(window)), 0, 1)

    def read(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return arrays[0].reshape(channels, -1, *window).transpose(axes)

    def write(array: np.ndarray) -> list[np.ndarray]:
        return [array.transpose(np.argsort(axes)).reshape(shape)]

    return read, write


def ordered(array: np.ndarray, order: Axes) -> np.ndarray:
    """The equal blocks of the last axis in another order: the gates of a recurrent layer."""
    blocks = np.split(array, len(order), -1)
    return np.concatenate([blocks[at] for at in order], -1)


def gates(order: Axes, transposed: bool) -> Ways:
    """A matrix whose gates lie in another order, or in that of its transpose (gates units, in)."""
    back = tuple(np.argsort(order))

    def read(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return ordered(arrays[0].T if transposed else arrays[0], order)

    def write(array: np.ndarray) -> list[np.ndarray]:
        found = ordered(array, back)
        return [found.T if transposed else found]

    return read, write
