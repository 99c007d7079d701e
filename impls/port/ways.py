"""Ways from the layout in which a framework holds a weight to Keras's, and back.

Each is a pair: `read` takes the arrays that hold a weight and gives it in Keras's layout, `write` does the opposite.
"""

from __future__ import annotations

import numpy as np


def turned(axes):
    """An array whose canonical axes are `axes` of its own."""
    back = tuple(np.argsort(axes))

    def read(arrays):
        return arrays[0].transpose(axes)

    def write(array):
        return [array.transpose(back)]

    return read, write


def folded(native, canonical):
    """The same numbers in the same order, in another shape."""

    def read(arrays):
        return arrays[0].reshape(canonical)

    def write(array):
        return [array.reshape(native)]

    return read, write


def depthwise(channels, shape):
    """(C M, 1, *window), which is `shape`, to (*window, C, M)."""
    window = tuple(shape[2:])
    axes = (*range(2, 2 + len(window)), 0, 1)

    def read(arrays):
        return arrays[0].reshape(channels, -1, *window).transpose(axes)

    def write(array):
        return [array.transpose(np.argsort(axes)).reshape(shape)]

    return read, write


def ordered(array, order):
    """The equal blocks of the last axis in another order: the gates of a recurrent layer."""
    blocks = np.split(array, len(order), -1)
    return np.concatenate([blocks[at] for at in order], -1)


def gates(order, transposed):
    """A matrix whose gates lie in another order, or in that of its transpose (gates units, in)."""
    back = tuple(np.argsort(order))

    def read(arrays):
        return ordered(arrays[0].T if transposed else arrays[0], order)

    def write(array):
        found = ordered(array, back)
        return [found.T if transposed else found]

    return read, write
