"""A block of numbers put into a larger array: padding, assignment to a part, a scatter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from suites.port.hypotheses.program import Array, Function

WIDEST = 64  # places before a block


def placed(arrays: Sequence[Array], wanted: Array) -> Iterator[tuple[str, tuple[int, ...], Function, tuple[int, ...]]]:
    """One array with another one at a block of it, or a block with one number around it."""
    for base, block in itertools.permutations(range(len(arrays)), 2):
        if arrays[base].shape == wanted.shape:
            unlike = np.argwhere(arrays[base] != wanted)
            if len(unlike):
                box = tuple(slice(low, high + 1) for low, high in zip(unlike.min(0), unlike.max(0), strict=True))
                if wanted[box].size == arrays[block].size:
                    yield "setitem", (base, block), assigning(box), ()
    for at, x in enumerate(arrays):
        widths = around(x, wanted) if 0 < x.size < wanted.size and x.ndim == wanted.ndim else None
        if widths is not None:
            outside = np.ones(wanted.shape, bool)
            outside[tuple(slice(low, low + n) for (low, _), n in zip(widths, x.shape, strict=True))] = False
            if (wanted[outside] == wanted[outside][0]).all():
                yield "pad", (at,), surrounding(widths, wanted[outside][0]), ()


def assigning(box: tuple[slice, ...]) -> Function:
    def function(a: Sequence[Array]) -> Array:
        found = np.array(a[0], np.result_type(a[0], a[1]))
        found[box] = a[1].reshape(found[box].shape)
        return found

    return function


def surrounding(widths: Sequence[tuple[int, int]], number: object) -> Function:
    return lambda a: np.pad(a[0], widths, constant_values=number)  # type: ignore[call-overload]


def around(x: Array, y: Array) -> list[tuple[int, int]] | None:
    """How many places are before and behind x in y along each axis; None where it does not lie in y."""
    growth = [m - n for n, m in zip(x.shape, y.shape, strict=True)]
    if any(more < 0 for more in growth):
        return None
    for before in itertools.product(*(range(min(more, WIDEST) + 1) for more in growth)):
        inner = tuple(slice(start, start + n) for start, n in zip(before, x.shape, strict=True))
        if np.array_equal(y[inner], x):
            return [(start, more - start) for start, more in zip(before, growth, strict=True)]
    return None
