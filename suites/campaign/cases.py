"""The realisations of a case, and the verdict on an answer."""

from __future__ import annotations

import math

import numpy as np

from impls.floating_types import FLOATING, UNIT
from suites.campaign import known
from suites.campaign.case import VERSION, Case, draw_case, operation_of
from suites.campaign.engines import Realisation
from suites.campaign.judge import AS_KNOWN, FLOAT32_TYPES, RANGE, ROUNDING, Row

__all__ = ["VERSION", "Case", "draw_case", "operation_of", "realisations", "verdict"]
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
    if row.status == "exceeds" and lowers and found.shape == truth.shape:
        bound = case.loose_bound(truth)
        row = judge_answer(case, found, truth, bound)._replace(condition=FLOAT32_TYPES)
    if row.status != "exceeds":
        return row
    extent = known.extent(case, realisation.id, truth)
    if extent is None:
        return row
    excused = np.isinf(extent)
    if found.shape != truth.shape:
        return row._replace(condition=AS_KNOWN) if excused.all() else row
    beyond = judge_answer(case, found, truth, bound + np.where(excused, 0.0, extent), excused)
    return beyond if beyond.status == "exceeds" else row._replace(condition=AS_KNOWN)


def judge_answer(
    case: Case, found: np.ndarray, truth: np.ndarray, bound: np.ndarray, excused: np.ndarray | None = None
) -> Row:
    """The worst element of an answer, of those that are not excused."""
    if found.shape != truth.shape:
        return Row("result", math.inf, 0.0, f"shape {found.shape} instead of {truth.shape}", "exceeds")
    if not truth.size:
        return Row("result", 0.0, 0.0, ROUNDING, "ok")
    excused = np.zeros(truth.shape, bool) if excused is None else excused
    if case.dtype not in UNIT or truth.dtype.kind in "biu":
        wrong = np.abs(found.astype(np.longdouble) - truth.astype(np.longdouble))
        return _row(wrong, bound, excused)
    right, got = truth.astype(np.longdouble), found.astype(np.longdouble)
    kind = FLOATING[case.dtype]
    with np.errstate(all="ignore"):
        over = np.abs(right) > kind.largest
        near = np.isfinite(right) & (np.abs(right) + bound >= kind.largest * (1 - 2 * kind.unit))
        expected = np.where(over & np.isfinite(right), np.sign(right) * np.inf, right)
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        wrong = np.where(same, 0, np.abs(got - right))
        wrong = np.where(np.isnan(wrong), np.inf, wrong)
        undecided = excused | near | ~np.isfinite(bound) & np.isfinite(right) | np.isnan(bound) & ~np.isnan(right)
    return _row(wrong, np.nan_to_num(bound, nan=0.0) + 2 * kind.tiny, undecided)


def _row(wrong: np.ndarray, bound: np.ndarray, undecided: np.ndarray) -> Row:
    judged = ~undecided
    if not judged.any():
        return Row("result", math.nan, math.nan, RANGE, "undecided")
    with np.errstate(all="ignore"):
        ratio = np.where(wrong > 0, wrong / np.where(bound > 0, bound, 1e-300), 0)
    at = int(np.argmax(np.where(judged, ratio, -1)))
    worst, limit = float(wrong.ravel()[at]), float(np.ravel(bound)[at])
    return Row(f"element {at}", worst, limit, ROUNDING, "ok" if worst <= limit else "exceeds")
