"""What an operation that has no name here may be, found by its numbers alone: sums along an axis, sorting, rounding.

Any engine's name will do: a meaning counts if it gives the recorded output of the recorded inputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from suites.port.hypotheses.program import Array, Function, close

Named = tuple[str, tuple[int, ...], Function, tuple[int, ...]]
LARGEST = 100_000  # elements of what is tried
MOST_AXES = 6
BANDS = (0, 1, -1)  # beside the diagonal

OF_ONE: dict[str, Callable[[Array], Array]] = {
    "floor": np.floor, "ceil": np.ceil, "round": np.round, "truncate": np.trunc, "sign": np.sign, "log1p": np.log1p,
    "expm1": np.expm1, "log2": np.log2, "log10": np.log10, "reciprocal": np.reciprocal, "exp2": np.exp2,
    "arctan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "is_finite": np.isfinite,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "square": np.square, "abs": np.abs, "negative": np.negative,
    "real": np.real, "imag": np.imag, "conjugate": np.conj, "angle": np.angle,
    "sin": np.sin, "cos": np.cos, "rsqrt": lambda x: 1 / np.sqrt(x), "tan": np.tan,
}  # fmt: skip
ALONG: dict[str, Callable[[Array, int], Array]] = {
    "cumsum": lambda x, axis: x.cumsum(axis), "cumprod": lambda x, axis: x.cumprod(axis),
    "cummax": lambda x, axis: np.maximum.accumulate(x, axis), "sort": lambda x, axis: np.sort(x, axis),
    "argsort": lambda x, axis: np.argsort(x, axis, kind="stable"),
    "reversed cumsum": lambda x, axis: np.flip(np.flip(x, axis).cumsum(axis), axis),
}  # fmt: skip
AWAY: dict[str, Callable[[Array, int], Array]] = {
    "argmax": lambda x, axis: x.argmax(axis), "argmin": lambda x, axis: x.argmin(axis),
    "prod": lambda x, axis: x.prod(axis), "norm": lambda x, axis: np.sqrt((x * x).sum(axis)),
    "logsumexp": lambda x, axis: np.logaddexp.reduce(x, axis), "any": lambda x, axis: np.asarray(x.any(axis)),
    "all": lambda x, axis: np.asarray(x.all(axis)), "deviation": lambda x, axis: x.std(axis),
    "sum": lambda x, axis: x.sum(axis), "mean": lambda x, axis: x.mean(axis), "max": lambda x, axis: x.max(axis),
    "min": lambda x, axis: x.min(axis),
}  # fmt: skip
OF_TWO: dict[str, Callable[[Array, Array], Array]] = {
    "remainder": np.remainder, "floor_divide": np.floor_divide, "arctan2": np.arctan2, "hypot": np.hypot,
    "logaddexp": np.logaddexp, "outer": np.multiply.outer, "power": np.power, "subtract": np.subtract,
    "divide": np.divide, "add": np.add, "multiply": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "matmul": np.matmul, "less": np.less, "greater": np.greater, "equal": np.equal, "less_equal": np.less_equal,
    "greater_equal": np.greater_equal, "not_equal": np.not_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "complex": lambda a, b: a + 1j * b,
    "distance": lambda a, b: np.sqrt(((a[..., :, None, :] - b[..., None, :, :]) ** 2).sum(-1)),
}  # fmt: skip


Further = Callable[[Sequence[Array], Array], Iterator[Named]]


def found_in(arrays: Sequence[Array], wanted: Array, further: Further) -> Named | None:
    """(name, which inputs, the function, its axes) of whatever gives `wanted`; None where nothing here does."""
    if not arrays or max(each.size for each in (*arrays, wanted)) > LARGEST or wanted.size < 2:
        return None
    for found in itertools.chain(candidates(arrays, wanted), further(arrays, wanted)):
        try:
            with np.errstate(all="ignore"):
                made = np.asarray(found[2]([arrays[at] for at in found[1]]))
        except (ValueError, IndexError, TypeError):
            continue
        if close(made, wanted):
            return found
    return None


def candidates(arrays: Sequence[Array], wanted: Array) -> Iterator[Named]:
    for at, x in enumerate(arrays):
        if x.ndim and x.ndim <= MOST_AXES:
            yield from of_one(at, x, wanted)
    for one, other in itertools.permutations(range(len(arrays)), 2):
        for name, function in OF_TWO.items():
            yield name, (one, other), pair(function), ()


def of_one(at: int, x: Array, wanted: Array) -> Iterator[Named]:
    if x.shape == wanted.shape:
        for name, function in OF_ONE.items():
            yield name, (at,), single(function), ()
        for (name, along), axis in itertools.product(ALONG.items(), range(x.ndim)):
            yield name, (at,), axial(along, axis), (axis,)
        for name, band in itertools.product(("tril", "triu"), BANDS if x.ndim > 1 else ()):
            yield name, (at,), triangle(name, band), ()
    for (name, away), axis in itertools.product(AWAY.items(), range(x.ndim) if x.size > wanted.size else ()):
        if x.size == wanted.size * x.shape[axis]:
            yield name, (at,), reduced(away, axis, wanted.shape), (axis,)
    if wanted.ndim == x.ndim + 1:
        yield from framings(at, x, wanted)
    if x.dtype.kind in "iuf" and wanted.size % max(x.size, 1) == 0 and wanted.shape[-1:] and wanted.size > x.size:
        yield "one_hot", (at,), one_hot(wanted.shape[-1]), ()


def framings(at: int, x: Array, wanted: Array) -> Iterator[Named]:
    """Frames of equal size along the last axis, one after the other, as (count, size) or (size, count)."""
    length = x.shape[-1]
    for count, size in (wanted.shape[-2:], wanted.shape[:-3:-1]):
        hop = (length - size) // (count - 1) if count > 1 and length > size else 0
        if hop:
            places = np.arange(count)[:, None] * hop + np.arange(size)
            yield "frames", (at,), framing(places if wanted.shape[-1] == size else places.T), ()


def framing(places: Array) -> Function:
    return lambda a: a[0][..., places]


def single(function: Callable[[Array], Array]) -> Function:
    return lambda a: function(a[0])


def pair(function: Callable[[Array, Array], Array]) -> Function:
    return lambda a: function(a[0], a[1])


def axial(function: Callable[[Array, int], Array], axis: int) -> Function:
    return lambda a: function(a[0], axis)


def reduced(function: Callable[[Array, int], Array], axis: int, shape: tuple[int, ...]) -> Function:
    return lambda a: function(a[0], axis).reshape(shape)


def triangle(name: str, band: int) -> Function:
    return lambda a: getattr(np, name)(a[0], band)


def one_hot(count: int) -> Function:
    return lambda a: (a[0][..., None] == np.arange(count)).astype(float)
