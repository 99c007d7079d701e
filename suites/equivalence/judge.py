"""The rule of judging, once: what rounding may do, what is known to differ, what is left over, and where it begins.

A tensor's bound is derived from the spread of the oracle's own rounding errors. Where a released library is known to
compute something else (`impls.model_differences`) the bound of that difference stands in its place, with its cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from impls import MODELS
from impls.model_differences import DEPARTURES, explanation
from impls.specs import Layer
from suites.equivalence.bounds import bounds, owed
from suites.equivalence.compare import comparisons, exceeding
from suites.equivalence.localise import Location, locate
from suites.records.run import Cell, Comparison
from suites.runner import plan
from suites.runner.stages import EPOCHS, PARTS, STEPS, data
from suites.runner.workers import Arrays

SINGLE = "rounding errors of float32 in every operation, propagated"


def judge(cell: Cell, stage: str, found: Arrays, truth: Arrays, spread: Arrays | None) -> list[Comparison]:
    """Every tensor that `cell` has to show in `stage`, with its bound and, where one is known, its cause.

    `spread` holds the Gram matrix (K, K) of the oracle's rounding errors for each tensor; None: a training to the end,
    whose bound is the project's target.
    """
    limits = None if spread is None else bounds(cell, truth, spread)
    rows = comparisons(cell, plan.oracle(cell), found, owed(cell, stage, truth), limits)
    return [_explained(row, stage) for row in rows]


def judge_differing(cell: Cell, found: Arrays, truth: Arrays, spread: Arrays) -> list[Comparison]:
    """The same against an oracle that has the known difference of `cell` planted in it: nothing is excused."""
    return comparisons(cell, plan.oracle(cell), found, truth, bounds(cell, truth, spread))


def judge_draw(
    cell: Cell, reference: Cell, found: Arrays, truth: Arrays, spreads: Mapping[str, Arrays]
) -> list[Comparison]:
    """The same on random inputs, where a known difference is bounded by what rounding to float32 does to these.

    `spreads` are by the precision of the errors: "float64", and "float32" where a difference is known.
    """
    wide = bounds(cell, truth, spreads["float32"]) if "float32" in spreads else {}
    rows = comparisons(cell, reference, found, truth, bounds(cell, truth, spreads["float64"]))
    return [_widened(row, wide) for row in rows]


def first_difference(
    rows: Sequence[Comparison], found: Arrays, truth: Arrays, moment: str, layers: Sequence[Layer] | None = None
) -> Location | None:
    """Where the rows that exceed their bound begin; None: none does. `layers` are those of the cell's spec."""
    bad = exceeding(rows)
    if not bad:
        return None
    cell = bad[0].cell
    return locate(layers or MODELS[cell.model].at(cell.size), bad, found, truth, moment)


def steps(cell: Cell, stage: str) -> int:
    """The training steps that lie between the canonical weights and what `stage` compares."""
    if stage != "training":
        return {"trajectory": STEPS, "fit": EPOCHS * PARTS}.get(stage, 1)
    return MODELS[cell.model].epochs * math.ceil(len(data(plan.dataset(cell)).x) / plan.batch_size(cell))


def _explained(row: Comparison, stage: str) -> Comparison:
    """The row with the bound and the cause of a known difference that covers it."""
    cell = row.cell
    if cell.dtype == "float32" and not exceeding([row]):
        return row  # most differences are a float32 where float64 was meant: here they are none
    found = explanation(cell.implementation, cell.backend, cell.model, row.phase, steps(cell, stage))
    return row if found is None else replace(row, bound=found.bound, cause=found.cause, departs=True)


def _widened(row: Comparison, wide: Mapping[str, float]) -> Comparison:
    """The row with the bound of a known difference of the library in its phases; None: shown, not bounded.

    The library computes in float32 what is meant in float64, so that what rounding everything to float32 does bounds
    it, by first order; the second is added. A tensor that is missing or of another shape is no known difference.
    """
    cell = row.cell
    entry = DEPARTURES.get((cell.implementation, cell.backend, cell.model))
    if entry is None or row.phase not in entry.phases or row.disagreement == math.inf:
        return row
    if entry.planted:  # in the oracle as well
        return row
    if (first := wide.get(row.tensor)) is None:
        return replace(row, bound=None, cause=entry.cause, departs=True)
    return replace(row, bound=first + first**2, cause=f"{SINGLE}: {entry.cause}", departs=True)
