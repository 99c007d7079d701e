"""The verdict on one realisation, tensor by tensor, by a bound that is derived; with the condition that made it.

`rounding`: what rounding errors of every operation can do (`suites.equivalence.bounds`). A tensor is undecided where
no bound can be derived: a decision (a kink, a tie, a clip) lies within rounding's reach, or numbers leave the range of
the type on the way. Undecided is counted, and is no pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from suites.equivalence.bounds import allowed
from suites.runner.workers import Arrays

FLOORS = {"float32": 2.0**-116, "float64": 2.0**-1000}  # per element: numbers below the normal ones may become zero
LARGEST = {"float32": 2.0**120, "float64": 2.0**1000}
UNEVEN = 3.0  # wider errors that do more than in proportion have crossed a decision
ROUNDING, DECISION, RANGE = "rounding", "a decision within reach of rounding", "beyond the range of the type"
AS_KNOWN = "as is known of it"
APART = "rounding of equal numbers, each by itself"
FLOAT32_CONSTANTS = "Keras rounds the optimizer's constants to float32"
FLOAT32_TYPES = "Keras computes in float32 what it is given in float64"

ORDER = ("forward", "loss", "backward", "steps")  # of a pass
PHASES = {"inference": "forward", "activation": "forward", "loss": "loss", "gradient": "backward"}


class Row(NamedTuple):
    """One tensor: ||found - truth|| / ||truth|| over its bound is `ratio`; `status` is ok, exceeds or undecided."""

    tensor: str
    disagreement: float
    bound: float
    condition: str
    status: str

    @property
    def ratio(self) -> float:
        if not self.disagreement:
            return 0.0
        return self.disagreement / self.bound if self.bound else math.inf

    @property
    def phase(self) -> str:
        return PHASES.get(self.tensor.partition("/")[0], "steps")


class Reach(NamedTuple):
    """What rounding can do to a tensor: its norm's bound, and whether a decision lies in between."""

    norm: float
    smooth: bool


class Truth(NamedTuple):
    """The oracle's tensors, and the reach of rounding at one unit roundoff."""

    tensors: Arrays
    reach: dict[str, Reach]


def truth_of(answer: Arrays) -> Truth:
    """From the answer of `impls.campaign.rounding_reach`."""
    tensors = {name: value for name, value in answer.items() if not name.startswith(("products/", "probe/"))}
    reach = {}
    for name in tensors:
        products, probes = answer[f"products/{name}"], answer[f"probe/{name}"]
        with np.errstate(all="ignore"):
            sampled = math.sqrt(float(np.max(np.diag(products)))) if np.isfinite(products).all() else math.nan
            norm = allowed(products) if np.isfinite(products).all() else math.nan
        smooth = bool(np.isfinite(probes).all() and np.max(probes) <= UNEVEN * sampled + 1e-300)
        reach[name] = Reach(norm, smooth)
    return Truth(tensors, reach)


def judge(found: Arrays, truth: Truth, dtype: str, note: str = "") -> list[Row]:
    """Every tensor that the realisation shows, and that the oracle has; `note` is the condition of a known float32."""
    shown = [name for name in truth.tensors if name in found]
    rows = [judge_tensor(name, found[name], truth, dtype, note or ROUNDING) for name in shown]
    beyond = [ORDER.index(row.phase) for row in rows if row.condition == RANGE]
    if not beyond:
        return rows
    first = min(beyond)
    return [_after(row, first) for row in rows]


def _after(row: Row, at: int) -> Row:
    """What exceeds its bound in the phase in which numbers leave the range of the type, or later, is undecided.

    An infinity or a zero of them is in what is computed from it.
    """
    if row.status != "exceeds" or ORDER.index(row.phase) < at:
        return row
    return row._replace(status="undecided", condition=RANGE)


def judge_tensor(name: str, found: np.ndarray, truth: Truth, dtype: str, condition: str) -> Row:
    """The row of one tensor."""
    expected, reach = truth.tensors[name], truth.reach[name]
    found = np.asarray(found, np.float64)
    if found.shape != expected.shape:
        if found.size != expected.size:
            return Row(name, math.inf, 0.0, f"shape {found.shape} instead of {expected.shape}", "exceeds")
        found = found.reshape(expected.shape)
    finite, size = np.isfinite(expected), float(np.max(np.abs(expected), initial=0.0))
    in_range = max(size, reach.norm) <= LARGEST[dtype] and not math.isnan(reach.norm)
    if not finite.all() or not in_range:
        return Row(name, math.nan, math.nan, RANGE, "undecided")
    scale = float(np.linalg.norm(expected)) or 1.0
    with np.errstate(all="ignore"):
        difference = float(np.linalg.norm(np.ravel(found - expected)))
    sides = math.sqrt(2.0) if dtype == "float64" else 1.0
    bound = sides * reach.norm + FLOORS[dtype] * math.sqrt(expected.size)
    status = "ok" if difference <= bound else "exceeds"
    if status == "exceeds" and not reach.smooth:
        return Row(name, difference / scale, bound / scale, DECISION, "undecided")
    return Row(name, difference / scale, bound / scale, condition, status)


def verdict(rows: Iterable[Row]) -> str:
    """Of a realisation: exceeds, undecided or ok."""
    found = {row.status for row in rows}
    return next((status for status in ("exceeds", "undecided") if status in found), "ok")
