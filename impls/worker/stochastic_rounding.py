"""Stochastic arithmetic: NumPy code runs as it is, and every operation commits a random rounding error.

Vignes (1978) and Parker (1997) estimate the effect of rounding by running a program several times with random
rounding errors; here the errors have the size that the analysis of Higham and Mary (2019), "A new approach to
probabilistic rounding error analysis", gives them. u is the unit roundoff, x the random error of mean 0:

    y = a op b, sqrt, a power      h(y) x with h(y) = u 2^e <= u |y| half an ulp of y, the largest error there is, and
                                   x spread evenly over [-1, 1]; of a sum of two it is sqrt(3/2) x, for where numbers
                                   of one size drop one bit the error is 0 or h, and var is h^2 / 2
    exp, log, tanh, ...            the same, and see below
    a constant, not short          off by c - float32(c) to a random side: it was rounded to the working precision, or
                                   was not; in float64 it is exact, for it is the same number for everybody
    sum of n terms p_k             the n - 1 additions round each partial sum s_k: var = b u^2 sum_k m_k s_k^2 / 3, and
                                   see below for m_k
    inner product                  the same with p_k = a_k b_k, each rounded: + b u^2 sum_k p_k^2 / 3, m_k = 1

b = 3 / (8 ln 2) is the mean of h^2 / (u y)^2 where mantissas follow Benford's law. s_k is taken in the order of memory
and over all orders of the terms, since nobody promises one, and the larger counts. With S = sum p_k, Q = sum p_k^2
and n terms drawn without replacement,  E s_k^2 = (k/n)^2 S^2 + k (n-k) / (n (n-1)) (Q - S^2/n), and its sum over k
is closed. (Of an inner product only the latter is known.) Blocked, pairwise and fused sums stay below. For terms of
one sign it is the sqrt(n) u |A||B| of Higham and Mary, for terms of both signs it is smaller.

m_k is how many of the n terms equal p_k, 0 where p_k is 0. Adding 0 is exact; and a partial sum is a multiple of its
own ulp, so that adding a p to it makes the same error whenever it adds this p, as long as the sum stays in one binade.
Errors that are equal add up as m, not as sqrt(m): (sum of m of the s_k)^2 <= m times the sum of these s_k^2. A blank
part of an image is such a term, and a running sum over it is off by several times what independent errors give.

Engines' elementary functions are up to 6 ulp off, over long intervals to the same side: no random error. What that
does is shown by runs of their own, one for each family of functions (`biased`), in which all of its values are 6 ulp
off to the same side and nothing else errs; the odd ones away from 0, since they are computed for |x|.

An error is a function of the value it is added to, as true rounding is: equal values stay equal, so ties stay ties,
and zeros and copies stay exact. Values that float32 cannot tell apart err together: those of one cell of float32 (what
rounds to the same number) are rounded to one grid, whose offset is random. So a difference within a cell is lost, or
becomes an ulp, and the errors of m such values add up as m, not as sqrt(m): places of a sequence that differ by 1e-9 of
their value are one in an engine, and what attention makes of their difference is the rounding of one place m times.

Yet an engine's kernels may round equal numbers each in its own way: a vectorised loop and what is left of it add up in
other orders, and the rows of a batch of equal examples differ by an ulp. What stands on their being equal (a variance
that is zero, a sum of differences) is then made of rounding. Runs that are `apart` show it: errors by place.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import random
import types
from typing import Any

import numpy as np

# NumPy before 2.3 makes an array of ones by a ufunc, `_ones_like`.
EXACT = frozenset(["negative", "positive", "maximum", "minimum", "absolute", "sign", "floor", "ceil", "_ones_like"])
ROUNDED = frozenset(["add", "subtract", "multiply", "divide", "sqrt", "square", "reciprocal", "power"])
ULP = 2.0  # in units of u, at most
ULPS_ALLOWED = 6  # vectorised elementary functions stay within these
FAMILIES = {"tanh": ("tanh", "sin", "cos"), "exp": ("exp", "expm1", "exp2", "log", "log1p", "log2", "logaddexp")}
ODD = "tanh"  # the family that engines compute for |x|, with the sign put back last: it errs away from 0
FUNCTIONS = {name: family for family, names in FAMILIES.items() for name in names}
UNMODELLED = frozenset(["dot", "vdot", "inner", "tensordot", "cumsum", "convolve", "linalg", "fft"])
BENFORD = 3 / (8 * math.log(2))
ONE_BIT = 1.5**0.5  # of a variance of 1/2 over one of 1/3, the root
MULTIPLIERS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1342543DE82EF95)
ONE = np.float64(1.0).view(np.uint64)
EXPONENT = np.float64(np.inf).view(np.uint64)  # the bits of a float64 that hold its exponent
FINER = 29  # bits of a float64 that float32 has not
HALF_A_CELL, CELL = np.uint64(1 << (FINER - 1)), np.uint64((1 << 64) - (1 << FINER))


class Rounding:
    """The unit roundoff in force and the stream of the errors; one unit of 0 means exact.

    `biased`: nothing errs but the elementary functions of that family, by as much as they may and to the same side.
    `float64`: the precision that is meant is that of Python's numbers, whatever `unit` scales its errors to.
    `apart`: equal numbers at different places of an array err each by itself.
    """

    def __init__(
        self, unit: float = 0.0, seed: int = 0, biased: str = "", float64: bool = False, apart: bool = False
    ) -> None:
        self.unit, self.stream, self.biased, self.float64 = unit, random.Random(seed), biased, float64
        self.apart = apart

    def halves(self, values: Any) -> Any:
        """Numbers spread evenly over [-1/2, 1/2], a function of the bits of each value (a multiplicative hash).

        For float32 one of the value's cell, less the value's place in it: what rounds the cell to a shifted grid.
        """
        bits = np.ascontiguousarray(values, np.float64).view(np.uint64)
        if not self.float64:
            bits = bits + HALF_A_CELL
        mixed = bits if self.float64 else bits & CELL
        mixed = mixed ^ np.uint64(self.stream.getrandbits(64))
        if self.apart:
            mixed ^= np.arange(mixed.size, dtype=np.uint64).reshape(mixed.shape) * MULTIPLIERS[1]
        mixed *= MULTIPLIERS[0]
        mixed ^= mixed >> np.uint64(32)
        mixed *= MULTIPLIERS[1]
        if not self.float64:
            mixed -= place_in_cell(bits)
        mixed >>= np.uint64(12)
        mixed |= ONE  # 52 random bits below the exponent of 1: evenly spread over [1, 2)
        found = mixed.view(np.float64).reshape(np.shape(values))
        found -= 1.5
        return found

    def rounded(self, values: Any, size: Any) -> Any:
        """`values` with an error of at most u `size` (u 2^e: half an ulp)."""
        if self.biased:
            return values
        found = self.halves(values)
        found *= size
        found *= 2 * self.unit
        found += values
        return found

    def held(self, values: Any) -> Any:
        """The numbers as the working precision has them, up to its range: float32, or the same."""
        if self.float64:
            return values
        bits = np.ascontiguousarray(values, np.float64).view(np.uint64) + HALF_A_CELL
        bits &= CELL
        return bits.view(np.float64)

    def constant(self, value: Any) -> Any:
        """A Python number as the working precision holds it; one that float32 has is exact in all of them."""
        if not isinstance(value, float) or not np.isfinite(value) or self.biased or self.float64:
            return value
        rounding = abs(value - float(np.float32(value))) * 2.0**24 * self.unit
        return value + math.copysign(rounding, float(self.halves(value))) if rounding else value


def place_in_cell(bits: Any) -> Any:
    """How far above the lower end of its cell of float32 a number lies, of 2^64; `bits` are half a cell larger."""
    found = (bits.view(np.int64) >> 63).view(np.uint64)  # all ones for a negative number: its magnitude grows downwards
    found ^= bits
    found <<= np.uint64(64 - FINER)
    return found


ROUNDING = Rounding()


class Noisy(np.ndarray):
    """An array of float64 whose operations commit errors; `terms`: it is an inner product of so many."""

    terms = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        plain = [ROUNDING.constant(value) if not isinstance(value, np.ndarray) else bare(value) for value in inputs]
        result = (at if method == "at" else METHODS[method])(ufunc, plain, options)
        if ufunc is np.add:
            result = accumulated(result, [getattr(value, "terms", 0) for value in inputs], plain)
        if method == "at":
            return None
        if out is not None and out[0] is not None:
            bare(out[0])[...] = result
            return out[0]
        found = noisy(result)
        if ufunc is np.matmul:
            found.terms = plain[0].shape[-1]
        return found


def bare(array: Any) -> Any:
    """The same memory as an ordinary array."""
    return array.view(np.ndarray) if isinstance(array, Noisy) else array


def noisy(value: Any) -> Any:
    """Float arrays and scalars as Noisy ones, in lists and tuples too; anything else as it is."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(noisy, value))
    if isinstance(value, (np.ndarray, np.floating)) and value.dtype == np.float64:
        return np.asarray(value).view(Noisy)
    return value


def accumulated(result: Any, terms: list[int], plain: Any) -> Any:
    """A sum of an inner product and a bias, with which many engines start: then it is in each of the partial sums."""
    if not max(terms) or min(terms):
        return result
    return ROUNDING.rounded(result, math.sqrt(max(terms)) * half_ulp(plain[terms.index(0)]))


def calculated(ufunc: Any, plain: Any, options: Any) -> Any:
    """An elementwise operation, or a matrix product."""
    result = ufunc(*plain, **options)
    if ufunc is np.matmul:
        squares = np.matmul(plain[0] * plain[0], plain[1] * plain[1])
        variance = sum_variance(plain[0].shape[-1], result, squares) + squares
        return ROUNDING.rounded(result, np.sqrt(BENFORD * variance))
    if result.dtype.kind == "O":
        result = result.astype(float)
    if ufunc.__name__ in EXACT or result.dtype.kind != "f":
        return result
    family = FUNCTIONS.get(ufunc.__name__, "exp" if ufunc.types == ["O->O"] else None)  # a Python function: erf
    if family and ROUNDING.biased == family:
        size = np.copysign(half_ulp(result), result) if family == ODD else half_ulp(result)
        return result + ROUNDING.unit * ULP * ULPS_ALLOWED * size
    if not family and ufunc.__name__ not in ROUNDED:
        raise NotImplementedError(f"no error model for numpy.{ufunc.__name__}")
    size = rounding_size(plain, result)
    return ROUNDING.rounded(result, size * ONE_BIT if ufunc in (np.add, np.subtract) else size)


def contracted(subscripts: str, left: Any, right: Any) -> Any:
    """An Einstein sum of two arrays: inner products over the axes that the result has not."""
    a, b = bare(left), bare(right)
    inputs, _, output = subscripts.partition("->")
    extents = dict(zip(inputs.replace(",", ""), (*a.shape, *b.shape), strict=True))
    count = math.prod(extent for axis, extent in extents.items() if axis not in output)
    result, squares = np.einsum(subscripts, a, b), np.einsum(subscripts, a * a, b * b)
    return noisy(ROUNDING.rounded(result, np.sqrt(BENFORD * (sum_variance(count, result, squares) + squares))))


def rounding_size(plain: Any, result: Any) -> Any:
    """Half an ulp of a rounded result, in units of u; x + 0, x * 1 and the like are exact."""
    size, magnitude = half_ulp(result), np.abs(result)
    for operand in plain:
        if np.ndim(operand) or abs(operand) in (0, 1):
            np.copyto(size, 0.0, where=np.abs(operand) == magnitude)
    return size


def half_ulp(values: Any) -> Any:
    """2^e of each value, in units of u half the distance to its neighbour; 0 of what is not finite."""
    found = (np.ascontiguousarray(values).view(np.uint64) & EXPONENT).view(np.float64)
    found[found == np.inf] = 0
    return found.reshape(np.shape(values))


def sum_variance(count: Any, total: Any, squares: Any) -> Any:
    """sum over k = 2 ... n of E s_k^2, where s_k is the sum of the first k of n terms in a random order."""
    count = np.maximum(count, 1)
    spread = np.maximum(squares - total * total / count, 0)
    alike = (count + 1) * (2 * count + 1) / (6 * count) - 1 / count**2
    return alike * total * total + ((count + 1) / 6 - 1 / count) * spread


def reduced(ufunc: Any, plain: Any, options: Any) -> Any:
    """A sum, or an exact reduction such as a maximum."""
    result = ufunc.reduce(*plain, **options)
    if ufunc is not np.add:
        assert ufunc.__name__ in EXACT or result.dtype.kind != "f", f"no error model for numpy.{ufunc.__name__}.reduce"
        return result
    terms = in_front(plain[0], options.get("axis", 0))
    alike, total = multiplicity(terms), np.reshape(result, terms.shape[1:])
    count = np.maximum((alike > 0).sum(0), 1)
    anyhow = sum_variance(count, total, np.einsum("k...,k...->...", terms, terms)) * (alike.sum(0) / count)
    sums = np.cumsum(terms, 0)[1:]
    in_order = np.einsum("k...,k...,k...->...", alike[1:], sums, sums)
    return ROUNDING.rounded(result, np.sqrt(BENFORD * np.maximum(anyhow, in_order)).reshape(np.shape(result)))


def in_front(terms: Any, axis: Any) -> Any:
    """The terms of each sum along the first axis, in the order of memory: (n, ...)."""
    axes = range(terms.ndim) if axis is None else np.atleast_1d(axis)
    front = np.moveaxis(terms, [int(axis) for axis in axes], range(len(axes)))
    return front.reshape(-1, *front.shape[len(axes) :])


def multiplicity(terms: Any) -> Any:
    """How many terms of the same sum (the first axis) equal each term; 0 for a term that is 0."""
    flat = ROUNDING.held(terms.reshape(len(terms), -1))
    found = (flat != 0).astype(float)
    ascending = np.sort(np.ascontiguousarray(flat.T))  # of each sum; much faster than their order
    repeated = (ascending[:, 1:] == ascending[:, :-1]) & (ascending[:, 1:] != 0)
    for place in np.flatnonzero(repeated.any(1)):
        _, which, counts = np.unique(flat[:, place], return_inverse=True, return_counts=True)
        found[:, place] *= counts[which]
    return found.reshape(terms.shape)


def at(ufunc: Any, plain: Any, options: Any) -> None:
    """`np.add.at(array, index, terms)`: sums of as many terms as fall on each place."""
    assert ufunc is np.add, f"no error model for numpy.{ufunc.__name__}.at"
    array, index, terms = plain
    count, squares = np.ones_like(array), array * array
    np.add.at(count, index, 1.0)
    np.add.at(squares, index, terms * terms)
    np.add.at(array, index, terms)
    array[...] = ROUNDING.rounded(array, np.sqrt(BENFORD * sum_variance(count, array, squares)))


METHODS = {"__call__": calculated, "reduce": reduced}
# The modules that the NumPy backend computes with. One that is missing would be exact, and every bound too small, so a
# test follows the backend's imports.
NUMPY_MODULES = ("numpy", "numpy_kernels", "numpy_autodiff")


class Noise:
    """In place of a module: the same functions, but the float arrays that they return are Noisy."""

    def __init__(self, module: types.ModuleType) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        found = contracted if name == "einsum" else getattr(self.module, name)
        if name in UNMODELLED:
            raise NotImplementedError(f"no error model for numpy.{name}")
        if isinstance(found, types.ModuleType):
            return Noise(found)
        if isinstance(found, (type, np.ufunc)) or not callable(found):
            return found
        return lambda *args, **options: noisy(found(*args, **options))


def constants(description: Any) -> Any:
    """A frozen dataclass whose float fields, and those inside it, went through the working precision."""
    changed = {}
    for field in dataclasses.fields(description):
        value = getattr(description, field.name)
        if dataclasses.is_dataclass(value):
            changed[field.name] = constants(value)
        elif isinstance(value, float):
            changed[field.name] = noisy(np.float64(ROUNDING.constant(value)))
    return dataclasses.replace(description, **changed)


def round_randomly(unit: float, seed: int, biased: str = "", float64: bool = False, apart: bool = False) -> None:
    """From now on the shim's NumPy backend and optimizers commit errors of unit roundoff `unit`; 0: none any more."""
    global ROUNDING
    from impls.shim import optimizers

    ROUNDING = Rounding(unit, seed, biased, float64, apart)
    for name in NUMPY_MODULES:
        importlib.import_module("impls.shim.backends." + name).np = Noise(np) if unit else np  # type: ignore[attr-defined]
    for kind in vars(optimizers).values():
        for name in {"rates", "rule", "clip", "start"} & vars(kind).keys() if isinstance(kind, type) else ():
            exactly = getattr(vars(kind)[name], "__wrapped__", vars(kind)[name])
            setattr(kind, name, with_rounded_constants(exactly) if unit else exactly)


def with_rounded_constants(method: Any) -> Any:
    """A method of an optimizer whose constants went through the working precision, as in some engines' kernels."""

    def call(self: Any, *args: Any, **options: Any) -> Any:
        return method(constants(self), *args, **options)

    call.__wrapped__ = method  # type: ignore[attr-defined]
    return call
