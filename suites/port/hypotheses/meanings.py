"""What an operation that has no name here may be, found by its numbers alone: sums along an axis, sorting, rounding.

Any engine's name will do: a meaning counts if it gives the recorded output of the recorded inputs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from suites.port.hypotheses.formulas import Config, Formula, groupnorm, layernorm
from suites.port.hypotheses.image_formulas import convolution
from suites.port.hypotheses.program import NOT_COMPUTABLE, Array, Function, close

Named = tuple[str, tuple[int, ...], Function, tuple[int, ...]]
LARGEST = 100_000  # elements of what is tried
MOST_AXES = 6
BANDS = (0, 1, -1)  # beside the diagonal
SCALED = ("gamma", "beta")

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
    "logical_and": np.logical_and, "logical_or": np.logical_or,
    "remainder": np.remainder, "floor_divide": np.floor_divide, "arctan2": np.arctan2, "hypot": np.hypot,
    "logaddexp": np.logaddexp, "outer": np.multiply.outer, "power": np.power, "subtract": np.subtract,
    "divide": np.divide, "add": np.add, "multiply": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "matmul": np.matmul, "less": np.less, "greater": np.greater, "equal": np.equal, "less_equal": np.less_equal,
    "greater_equal": np.greater_equal, "not_equal": np.not_equal,
    "complex": lambda a, b: a + 1j * b,
    "distance": lambda a, b: np.sqrt(((a[..., :, None, :] - b[..., None, :, :]) ** 2).sum(-1)),
}  # fmt: skip


Further = Callable[[Sequence[Array], Array], Iterator[Named]]


SPREAD = ("outer", "distance")  # what takes as much room as the product of both


def found_in(arrays: Sequence[Array], wanted: Array, further: Further) -> Named | None:
    """(name, which inputs, the function, its axes) of whatever gives `wanted`; None where nothing here does."""
    if not arrays or max(each.size for each in (*arrays, wanted)) > LARGEST or wanted.size < 2:
        return None
    for found in itertools.chain(further(arrays, wanted), candidates(arrays, wanted)):
        try:
            with np.errstate(all="ignore"):
                made = np.asarray(found[2]([arrays[at] for at in found[1]]))
        except NOT_COMPUTABLE:
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
            if name in SPREAD and math.prod(each.size for each in arrays) > LARGEST:
                continue
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


def flat_product(arrays: Sequence[Array], wanted: Array) -> Iterator[Named]:
    """A product over the last axes of one and the first of a kernel whose own axes are merged: heads, DenseGeneral."""
    for x, kernel in itertools.permutations(range(len(arrays)), 2):
        a, w = arrays[x], arrays[kernel]
        if w.ndim != 2 or a.ndim < 2:
            continue
        for count in range(1, a.ndim):
            for turn in (False, True):
                rows = w.shape[1] if turn else w.shape[0]
                outer = a.shape[: a.ndim - count]
                if math.prod(a.shape[a.ndim - count :]) == rows and wanted.shape[: len(outer)] == outer:
                    yield "matmul", (x, kernel), flat(count, turn, wanted.shape), ()


def flat(count: int, turn: bool, shape: tuple[int, ...]) -> Function:
    def function(a: Sequence[Array]) -> Array:
        x = a[0].reshape(*a[0].shape[: a[0].ndim - count], -1)
        return np.asarray((x @ (a[1].T if turn else a[1])).reshape(shape))

    return function


def normalisations(name: str, epsilon: object, groups: object, arrays: Sequence[Array]) -> Iterator[Named]:
    """A norm that an engine has as one operation: of (x, scale, shift) over its last axes, or of groups of channels."""
    config: Config = {"epsilon": float(epsilon) if isinstance(epsilon, (int, float)) else 1e-5}
    used = tuple(range(len(arrays)))
    if name == "layer_norm":
        for count in range(1, arrays[0].ndim):
            axes = tuple(range(arrays[0].ndim - count, arrays[0].ndim))
            yield name, used, of_layer(layernorm, {**config, "axes": axes}, SCALED, False), axes
    elif name in ("group_norm", "instance_norm") and arrays[0].ndim > 2:
        config = {**config, "groups": groups if isinstance(groups, int) else arrays[0].shape[1]}
        yield name, used, of_layer(groupnorm, config, SCALED, True), ()


def of_layer(formula: Formula, config: Config, names: Sequence[str], channels_first: bool) -> Function:
    """The formula of a layer, of its input and of weights by these names."""

    def function(a: Sequence[Array]) -> Array:
        weights = dict(zip(names, a[1:], strict=False))
        if not channels_first:
            return formula(config, weights, a[0], False)
        return np.moveaxis(formula(config, weights, np.moveaxis(a[0], 1, -1), False), -1, 1)

    return function


def convolved(arrays: Sequence[Array], wanted: Array) -> Iterator[Named]:
    """A convolution of (N, C, ...) or (N, ..., C) with a kernel (..., I, O): strides, pads and dilation are tried."""
    if len(arrays) < 2 or arrays[0].ndim != arrays[1].ndim or arrays[0].ndim < 3:
        return
    used = tuple(range(len(arrays)))
    for first in (True, False):
        x, y = (np.moveaxis(each, 1, -1) if first else each for each in (arrays[0], wanted))
        if y.shape[-1] != arrays[1].shape[-1] or x.shape[-1] % arrays[1].shape[-2]:
            continue
        rank = x.ndim - 2
        for stride, dilation in itertools.product((1, 2, 4, 3), (1, 2, 3)):
            reach = [(n - 1) * dilation + 1 for n in arrays[1].shape[:rank]]
            needed = [(o - 1) * stride + r - n for o, r, n in zip(y.shape[1:-1], reach, x.shape[1:-1], strict=True)]
            if any(-stride >= more for more in needed) or any(
                more > 2 * r for more, r in zip(needed, reach, strict=True)
            ):
                continue
            whole = [max(more, 0) for more in needed]
            for before in dict.fromkeys(
                (tuple(more // 2 for more in whole), tuple((more + 1) // 2 for more in whole), tuple(whole))
            ):
                config = {
                    "window": arrays[1].shape[:rank], "strides": [stride] * rank, "dilation": [dilation] * rank,
                    "pads": [(b, more - b) for b, more in zip(before, whole, strict=True)],
                    "groups": x.shape[-1] // arrays[1].shape[-2],
                }  # fmt: skip
                yield "conv", used, of_layer(convolution, config, ("kernel", "bias"), first), ()
