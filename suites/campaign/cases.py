"""One operation on one draw of arrays: what is right, how far off rounding may be, and the verdict on an answer."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from suites.campaign import tables
from suites.campaign.engines import Realisation
from suites.campaign.judge import FLOAT32_TYPES, RANGE, ROUNDING, Row
from suites.campaign.operations import LARGEST, OPERATIONS, TINY, UNIT, Operation, plain
from suites.runner.workers import Arrays

__all__ = ["Case", "draw_case", "realisations", "tables", "verdict"]
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
        """The same where arrays were rounded to float32 on the way; infinite beyond the range of that."""
        with np.errstate(all="ignore"):
            found = self.bound(truth, "float32") + 4 * UNIT["float32"] * np.abs(truth)
            return np.where(np.abs(truth) >= LARGEST["float32"], np.inf, found)

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


ENGINES_OF = {"torch": ("torch",), "jax": ("jax",), "tensorflow": ("tensorflow",)}
KERAS_ON = ("torch", "jax", "tensorflow")


def realisations(case: Case, compiled: bool = True) -> list[Realisation]:
    """Every API and engine that has the operation, eager; a compiled mode of each for one case in four."""
    found = []
    for api in case.entry.forms:
        for engine in KERAS_ON if api == "keras" else (api,):
            found.append(Realisation(api, engine, "eager"))
    if compiled and case.seed % 4 == 0:
        extra = {"jax": "jit", "tensorflow": "graph"}
        found += [Realisation(each.api, each.engine, extra[each.engine]) for each in found if each.engine in extra]
    if case.entry.per_row and case.seed % 4 == 1:
        found += [Realisation(api, api, "vmap") for api in ("torch", "jax") if api in case.entry.forms]
    return found


def verdict(case: Case, realisation: Realisation, found: np.ndarray, truth: np.ndarray, bound: np.ndarray) -> Row:
    """The worst element of an answer; Keras's float32 in float64 has the bound of float32."""
    row = judge_answer(case, found, truth, bound)
    lowers = realisation.api == "keras" and realisation.engine != "tensorflow" and case.dtype == "float64"
    if row.status != "exceeds" or not lowers or found.shape != truth.shape:
        return row
    return judge_answer(case, found, truth, case.loose_bound(truth))._replace(condition=FLOAT32_TYPES)


def judge_answer(case: Case, found: np.ndarray, truth: np.ndarray, bound: np.ndarray) -> Row:
    """The worst element of an answer."""
    if found.shape != truth.shape:
        return Row("result", math.inf, 0.0, f"shape {found.shape} instead of {truth.shape}", "exceeds")
    if not truth.size:
        return Row("result", 0.0, 0.0, ROUNDING, "ok")
    if case.dtype not in UNIT or truth.dtype.kind in "biu":
        wrong = np.abs(found.astype(np.longdouble) - truth.astype(np.longdouble))
        return _row(wrong, bound, np.zeros(truth.shape, bool))
    right, got = truth.astype(np.longdouble), found.astype(np.longdouble)
    largest, tiny = LARGEST[case.dtype], TINY[case.dtype]
    with np.errstate(all="ignore"):
        over = np.abs(right) > largest
        near = np.isfinite(right) & (np.abs(right) + bound >= largest * (1 - 2 * UNIT[case.dtype]))
        expected = np.where(over & np.isfinite(right), np.sign(right) * np.inf, right)
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        wrong = np.where(same, 0, np.abs(got - right))
        wrong = np.where(np.isnan(wrong), np.inf, wrong)
        undecided = near | ~np.isfinite(bound) & np.isfinite(right) | np.isnan(bound) & ~np.isnan(right)
    return _row(wrong, np.nan_to_num(bound, nan=0.0) + 2 * tiny, undecided)


def _row(wrong: np.ndarray, bound: np.ndarray, undecided: np.ndarray) -> Row:
    judged = ~undecided
    if not judged.any():
        return Row("result", math.nan, math.nan, RANGE, "undecided")
    with np.errstate(all="ignore"):
        ratio = np.where(wrong > 0, wrong / np.where(bound > 0, bound, 1e-300), 0)
    at = int(np.argmax(np.where(judged, ratio, -1)))
    worst, limit = float(wrong.ravel()[at]), float(np.ravel(bound)[at])
    return Row(f"element {at}", worst, limit, ROUNDING, "ok" if worst <= limit else "exceeds")
