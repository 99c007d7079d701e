"""Compares a cell's arrays with the oracle's, tensor by tensor, normwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from suites.records.run import Cell, Comparison
from suites.runner.workers import Arrays

# The project's own definition of "the same" for a training to the end, whose rounding errors nobody propagates: its
# losses agree normwise to this, and every change of meaning known from real ports is at least ten times larger.
AGREEMENT = 1e-12
TARGET = "the project's target for whole trainings; no bound is derived"
ROUNDING = "rounding errors of every operation, propagated (Higham and Mary 2019; Laurent and Massart 2000)"

PHASES = {
    "activation": "forward",
    "inference": "forward",
    "loss": "loss",
    "cotangent": "backward",
    "gradient": "backward",
    "losses": "trajectory",
    "weight": "trajectory",
    "slot": "slot",
    "moving_mean": "state",
    "moving_variance": "state",
}


NOT_COMPARED = ("logits", "seconds")  # of a training: judged by its metric, and a time


def normwise(found: np.ndarray, truth: np.ndarray) -> float:
    """||found - truth|| / ||truth||; infinite where the shapes differ, NaN where a value is not finite."""
    if found.shape != truth.shape:
        return float("inf")
    difference = float(np.linalg.norm(np.ravel(found.astype(np.float64) - truth)))
    scale = float(np.linalg.norm(np.ravel(truth)))
    return difference / scale if scale else difference


def phase(tensor: str) -> str:
    """The phase that a tensor's name belongs to: `weight/bn1/moving_mean` is state."""
    return PHASES.get(tensor.rpartition("/")[2]) or PHASES[tensor.partition("/")[0]]


def comparisons(
    cell: Cell,
    reference: Cell,
    found: Arrays,
    truth: Arrays,
    bounds: Mapping[str, float] | None = None,
    cause: str = ROUNDING,
) -> list[Comparison]:
    """One row for every tensor of either side; one that the cell lacks, or should not have, disagrees infinitely.

    `bounds` are those of the tensors, relative to the truth's norm; None: the project's target is the bound of all.
    """
    names = [name for name in dict.fromkeys([*truth, *found]) if name not in NOT_COMPARED]
    bounds, cause = (dict.fromkeys(names, AGREEMENT), TARGET) if bounds is None else (bounds, cause)
    return [
        Comparison(cell, reference, phase(name), name, disagreement(found, truth, name), bounds.get(name, 0.0), cause)
        for name in names
    ]


def disagreement(found: Arrays, truth: Arrays, name: str) -> float:
    """The normwise disagreement of one tensor; infinite where a side lacks it."""
    return normwise(found[name], truth[name]) if name in found and name in truth else float("inf")


def exceeding(rows: Iterable[Comparison]) -> list[Comparison]:
    """The rows above their bound; a NaN is above every bound."""
    return [row for row in rows if row.bound is not None and not row.disagreement <= row.bound]


def table(rows: Iterable[Comparison]) -> str:
    """Rows for a person: phase, tensor, disagreement, bound."""
    lines = [f"  {row.phase:<10} {row.tensor:<36} {row.disagreement:9.2e}  bound {row.bound:.2e}" for row in rows]
    return "\n".join(lines)
