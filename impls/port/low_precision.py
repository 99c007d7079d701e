"""The type that a worker's model runs in, and what rounding to a lower one may do to a pass in float64.

Rounding is simulated: in a pass in float64 the result of each operation that rounds goes to the nearest number of a
grid with the type's spacing and a random offset. So the error is spread evenly over half an ulp to both sides (Parker
1997), equal numbers get equal errors, which add up, and a difference that the type can't hold is lost.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from impls.port.annotations import Native

HALVES = ("bfloat16", "float16")
MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1342543DE82EF95)


def working_type() -> str:
    """The name of the type that this worker's model computes in."""
    return os.environ.get("TRIPTYCH_PORT_DTYPE", "float64")


def on_gpu() -> bool:
    return os.environ.get("TRIPTYCH_PORT_DEVICE", "cpu") == "gpu"


def is_float64() -> bool:
    return working_type() == "float64"


def widened(array: np.ndarray) -> np.ndarray:
    """A NumPy array of a type that every NumPy knows: float32 for 16 bits."""
    return array.astype(np.float32) if array.dtype.name in HALVES else array


def is_floating(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" or array.dtype.name in HALVES


def same_type(made: Native, like: Native) -> Native:
    """A tensor of PyTorch or TensorFlow in the type, and on the device, of another one."""
    if made.dtype == like.dtype:
        return made
    if hasattr(made, "to"):
        return made.to(like.dtype)
    import tensorflow as tf

    return tf.cast(made, like.dtype)


FEW_BITS = 16  # of a number that is exact: a place, a size, half or a quarter of one


def is_exact(array: np.ndarray) -> np.ndarray:
    """Where numbers have so few bits that no rounding made them: whole ones, halves, quarters."""
    mantissa = np.ldexp(np.frexp(array)[0], FEW_BITS)
    return np.asarray(mantissa == np.rint(mantissa))


class Rounding:
    """Errors for the values of one pass, by their ids.

    `units`: the unit roundoff of the type that a value is stored in, 0 where nothing is rounded; `sums`: the error of
    the sum that it comes from, relative to the root of the mean square of all such sums.
    """

    def __init__(self, units: np.ndarray, sums: np.ndarray, seed: int) -> None:
        self.units = units
        self.sums = sums
        self.seed = seed

    def disturbed(self, at: int, array: np.ndarray) -> np.ndarray:
        """The numbers of a value with errors; the array itself where it has none."""
        if at >= len(self.units) or not self.units[at] or array.dtype.kind != "f" or not array.size:
            return array
        exact = array.astype(np.float64)
        ulp = 2 * self.units[at] * binade(exact)
        offset = np.random.default_rng([self.seed, at]).uniform()
        with np.errstate(all="ignore"):
            cell = np.floor(exact / ulp + offset) - offset + 0.5
            found = np.where(ulp > 0, cell * ulp, exact)
            if self.sums[at]:
                found += self.sums[at] * root_mean_square(exact) * evenly(exact, self.seed, at)
        return np.where(np.isfinite(found), found, exact)


def binade(array: np.ndarray) -> np.ndarray:
    """2^e of each number: its half ulp in units of the unit roundoff; 0 for 0."""
    mantissa, exponent = np.frexp(array)
    return np.where(mantissa == 0, 0.0, np.ldexp(1.0, exponent - 1))


def root_mean_square(array: np.ndarray) -> float:
    usual = np.abs(array) < 1e8  # larger ones are masks
    return float(np.sqrt(np.mean(np.square(array[usual])))) if usual.any() else 0.0


def evenly(array: np.ndarray, seed: int, at: int) -> np.ndarray:
    """Numbers spread evenly over [-1, 1], the same for values that float32 can't tell apart (a multiplicative hash)."""
    salt = np.random.default_rng([seed, at]).integers(0, 2**63, dtype=np.uint64)
    mixed = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64) ^ salt
    for factor in MIX:
        mixed = mixed * factor
        mixed = mixed ^ (mixed >> np.uint64(32))
    return (mixed >> np.uint64(11)).astype(np.float64).reshape(np.shape(array)) / 2.0**52 - 1.0
