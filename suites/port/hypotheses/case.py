"""One layer of B as a case for A's formula: a hypothesis counts only if the formula computes B's output with it.

Judged by a derived bound, not by a tolerance: the reach of random errors of one unit roundoff times the root of the
number of terms in every operand of the formula.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from suites.equivalence.bounds import reach
from suites.port.hypotheses import formulas, image_formulas, sequence_formulas

Array = np.ndarray
SAMPLES = 16  # of rounding errors, for the bound of one layer
NEAR = 1e-3  # a relative distance that no rounding reaches: the bound need not be computed
FORMULAS: dict[str, formulas.Formula] = {
    **formulas.FORMULAS,
    **image_formulas.FORMULAS,
    **sequence_formulas.FORMULAS,
}
UNFIT = (ValueError, KeyError, IndexError, NotImplementedError, TypeError, ZeroDivisionError)  # settings that don't fit


@dataclass(frozen=True)
class Case:
    """A layer of B: A's kind, settings and weights, B's own input x (and `others`) and output y."""

    kind: str
    config: Mapping[str, Any]
    weights: Mapping[str, Array]
    x: Array
    y: Array
    training: bool
    unit: float
    others: Mapping[str, Array] = field(default_factory=dict)  # further inputs, by name: a mask, keys, ids

    def given(self, changes: Mapping[str, Any]) -> Case:
        """The same layer with other settings."""
        return replace(self, config={**self.config, **changes})

    def computed(self) -> Array | None:
        """What the formula makes of x; None where the settings do not fit together."""
        return self._apply(self.x, self.weights, self.others)

    def _apply(self, x: Array, weights: Mapping[str, Array], others: Mapping[str, Array]) -> Array | None:
        formula = FORMULAS[self.config.get("kind", self.kind)]
        config = {**self.config, "others": others} if others else self.config
        try:
            with np.errstate(all="ignore"):
                y = formula(config, weights, x, self.training)
        except UNFIT:
            return None
        if "then" in self.config:
            y = formulas.named_activation(self.config["then"])(y)
        if "moved" in self.config:
            y = formulas.moved(self.config["moved"], y)
        return np.asarray(y * self.config.get("times", 1.0))

    def bound(self, y: Array) -> float:
        """How far rounding can take the layer's output from `y`: the reach of random errors in its operands."""
        rng = np.random.default_rng(0)
        size = self.unit * math.sqrt(max(self.x.size, y.size))
        errors = []
        for _ in range(SAMPLES):
            weights = {name: _noisy(array, size, rng) for name, array in self.weights.items()}
            others = {name: _noisy(array, size, rng) for name, array in self.others.items()}
            found = self._apply(_noisy(self.x, size, rng), weights, others)
            if found is not None and found.shape == y.shape:
                error = np.ravel(found * (1 + size * rng.standard_normal(y.shape)) - y)
                errors.append(np.where(np.isfinite(error), error, 0.0))
        stacked = np.stack(errors)
        return math.sqrt(2) * reach(stacked @ stacked.T)

    def agrees(self) -> bool:
        """Whether B's output is what these settings compute, up to rounding."""
        return self.distance() <= 1

    def error(self) -> float:
        """||computed - y|| / ||y||; infinite where it can't be computed or has another shape."""
        y = self.computed()
        if y is None or y.shape != self.y.shape:
            return float("inf")
        if np.array_equal(y, self.y, equal_nan=True):
            return 0.0
        difference = float(np.linalg.norm(np.ravel(y - self.y)))
        return difference / (float(np.linalg.norm(np.ravel(self.y))) or 1.0) if math.isfinite(difference) else math.inf

    def distance(self) -> float:
        """||computed - y|| over its bound."""
        error = self.error()
        if error == 0 or error > NEAR:
            return error if error == 0 else math.inf
        y = self.computed()
        assert y is not None
        bound = self.bound(y)
        return error * (float(np.linalg.norm(np.ravel(self.y))) or 1.0) / bound if bound else math.inf


def _noisy(array: Array, size: float, rng: np.random.Generator) -> Array:
    if array.dtype.kind != "f":
        return array
    return np.asarray(array * (1 + size * rng.standard_normal(array.shape)))
