"""One operation on one draw of arrays: what is right, and how far off rounding may be."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from impls.floating_types import FLOATING, UNIT
from suites.campaign import tables
from suites.campaign.operations import OPERATIONS, Operation, plain
from suites.runner.workers import Arrays

__all__ = ["Case", "draw_case", "operation_of", "tables"]
VERSION, STREAM = 1, 7  # of the draws of cases: networks take others


@dataclass
class Case:
    """An operation with its arrays (numbers that the type has) and options."""

    seed: int
    operation: str
    dtype: str
    arrays: Arrays
    options: dict[str, Any]

    @property
    def entry(self) -> Operation:
        return OPERATIONS[self.operation]

    def truth(self) -> np.ndarray:
        """What is right, in NumPy."""
        function = self.entry.truth
        more = {"dtype": self.dtype} if "dtype" in inspect.signature(function).parameters else {}
        with np.errstate(all="ignore"):
            return np.asarray(function(**self.arrays, **plain(self.options), **more))

    def bound(self, truth: np.ndarray, dtype: str = "") -> np.ndarray:
        """How far rounding alone can take each element, in a type that is not the case's own where one is given."""
        with np.errstate(all="ignore"):
            found = self.entry.error(self.arrays, truth, self.options, UNIT.get(dtype or self.dtype, 0.0))
        return np.broadcast_to(np.asarray(found), truth.shape)

    def loose_bound(self, truth: np.ndarray) -> np.ndarray:
        """The same where arrays were rounded to float32 on the way; infinite beyond the range of that.

        What that rounding does to the right numbers is added: arccos near 1 is another number there.
        """
        with np.errstate(all="ignore"):
            found = self.bound(truth, "float32") + 4 * UNIT["float32"] * np.abs(truth) + self._moved(truth)
            return np.where(np.abs(truth) >= FLOATING["float32"].largest, np.inf, found)

    def _moved(self, truth: np.ndarray) -> Any:
        """How far the right numbers of arrays of float32 are from those of the arrays."""
        single = {name: value.astype(np.float32) for name, value in self.arrays.items() if value.dtype.kind == "f"}
        arrays = {**self.arrays, **{name: value.astype(np.float64) for name, value in single.items()}}
        there = replace(self, arrays=arrays).truth()
        if there.shape != truth.shape:
            return np.inf
        same = (there == truth) | (np.isnan(there) & np.isnan(truth)) if truth.dtype.kind == "f" else there == truth
        return np.where(same, 0.0, np.nan_to_num(np.abs(there * 1.0 - truth), nan=np.inf))

    def request(self, api: str, mode: str) -> dict[str, Any]:
        """What `impls.campaign.expressions` takes."""
        expression = self.entry.forms[api]
        return {
            "api": api, "mode": mode, "dtype": self.dtype, "expression": expression, "options": plain(self.options),
        }  # fmt: skip


def draw_case(seed: int, operation: str = "") -> Case:
    """The case of a seed: of an operation that is named the same for ever, else of one that the table has now."""
    operation = operation or operation_of(seed)
    rng = np.random.default_rng([VERSION, STREAM, seed, *operation.encode()])
    entry = OPERATIONS[operation]
    dtype = entry.dtypes[int(rng.integers(len(entry.dtypes)))]
    with np.errstate(all="ignore"):
        arrays, options = entry.draw(rng, dtype)
    return Case(seed, entry.name, dtype, arrays, options)


def operation_of(seed: int) -> str:
    """The operation of a seed, of those that the table has now."""
    names = sorted(OPERATIONS)
    return names[int(np.random.default_rng([VERSION, STREAM, seed]).integers(len(names)))]
