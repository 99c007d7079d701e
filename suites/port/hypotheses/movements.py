"""Operations that only move numbers: the map from places to places that their input and output show."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from suites.port.hypotheses.program import Array, Function, Step
from suites.port.recording import Op


def movement(op: Op, inputs: tuple[int | Array, ...], at: int, values: Mapping[int, Array]) -> Step | None:
    """Each number of the output is one of the inputs': the map of places, where all numbers are different."""
    used = [each for each in inputs if isinstance(each, int) or each.ndim]
    arrays = [values[each] if isinstance(each, int) else each for each in used]
    pool = np.concatenate([plain(np.ravel(array)) for array in arrays] or [np.zeros(0)])
    wanted = values[at]
    if (pool.dtype.kind == "c") != (wanted.dtype.kind == "c"):
        return None
    order = np.argsort(pool, kind="stable")
    ranked = pool[order]
    if not len(ranked) or not wanted.size:
        return None
    place = np.clip(np.searchsorted(ranked, plain(np.ravel(wanted))), 0, len(ranked) - 1)
    exact = ranked[place] == np.ravel(wanted)
    distinct = len(ranked) < 2 or bool((ranked[1:] != ranked[:-1]).all())
    if not exact.all() or not distinct:
        return _same_order(op, inputs, at, values)
    source, shape = order[place], wanted.shape
    return Step(op.name, tuple(used), at, lambda a: _gathered(a, source, shape), op, moves=True)


def plain(array: Array) -> Array:
    """As numbers of one type: complex ones as they are, any others as float64."""
    return array if array.dtype.kind == "c" else array.astype(float)


def _gathered(arrays: Sequence[Array], source: Array, shape: tuple[int, ...]) -> Array:
    pool = np.concatenate([np.ravel(array) for array in arrays])
    return np.asarray(pool[source].reshape(shape))


def _same_order(op: Op, inputs: tuple[int | Array, ...], at: int, values: Mapping[int, Array]) -> Step | None:
    """Reshapes and broadcasts of arrays with equal numbers: a mask, a table of positions."""
    wanted = values[at]
    for each in inputs:
        array = values[each] if isinstance(each, int) else each
        for function in (lambda a: a[0].reshape(wanted.shape), lambda a: np.broadcast_to(a[0], wanted.shape)):
            try:
                if np.array_equal(function([array]), wanted):
                    return Step(op.name, (each,), at, function, op, moves=True)
            except ValueError:
                continue
        for axes in itertools.permutations(range(array.ndim)):
            if array.ndim == wanted.ndim and np.array_equal(array.transpose(axes), wanted):
                return Step(op.name, (each,), at, _transposing(axes), op, moves=True)
    return _window(op, inputs, at, values)


def _window(op: Op, inputs: tuple[int | Array, ...], at: int, values: Mapping[int, Array]) -> Step | None:
    """A slice along one axis, or several inputs joined along one."""
    wanted = values[at]
    arrays = [values[each] if isinstance(each, int) else each for each in inputs]
    for axis in range(wanted.ndim):
        joined = tuple(each for each, array in zip(inputs, arrays, strict=True) if array.ndim == wanted.ndim)
        if len(joined) > 1 and _close_join([a for a in arrays if a.ndim == wanted.ndim], axis, wanted):
            return Step(op.name, joined, at, _joining(axis), op, moves=True)
    for each, array in zip(inputs, arrays, strict=True):
        for axis, start in itertools.product(range(array.ndim), range(max(array.shape, default=0))):
            for function in (_cutting(axis, start, wanted), _picking(axis, start)):
                found = _tried(function, array)
                if found is not None and found.shape == wanted.shape and np.array_equal(found, wanted):
                    return Step(op.name, (each,), at, function, op, moves=True)
    return None


def _tried(function: Function, array: Array) -> Array | None:
    try:
        return function([array])
    except (ValueError, IndexError):
        return None


def _close_join(arrays: Sequence[Array], axis: int, wanted: Array) -> bool:
    try:
        return np.array_equal(np.concatenate(arrays, axis), wanted)
    except ValueError:
        return False


def _joining(axis: int) -> Function:
    return lambda a: np.concatenate(list(a), axis)


def _cutting(axis: int, start: int, wanted: Array) -> Function:
    def function(a: Sequence[Array]) -> Array:
        length = wanted.shape[axis] if a[0].ndim == wanted.ndim else 0
        return np.asarray(a[0].take(np.arange(start, start + length), axis))

    return function


def _picking(axis: int, start: int) -> Function:
    return lambda a: a[0].take(start, axis)


def _transposing(axes: tuple[int, ...]) -> Function:
    return lambda a: a[0].transpose(axes)
