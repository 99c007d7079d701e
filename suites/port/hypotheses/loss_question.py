"""What is asked of two losses: their values on each side's own outputs, and what those are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from suites.port.hypotheses.formulas import Array

Slopes = tuple[Mapping[str, Array], Mapping[str, Array]]


@dataclass(frozen=True)
class LossQuestion:
    """What both sides made of their own outputs; gradients in A's names and layouts."""

    outputs_a: Mapping[str, Array]
    outputs_b: Mapping[str, Array]
    data: Mapping[str, Array]
    loss_a: float
    loss_b: float
    unit: float
    gradients_a: Mapping[str, Array] = field(default_factory=dict)
    gradients_b: Mapping[str, Array] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    penalty_a: float = 0.0
    penalty_b: float = 0.0
    slopes: Callable[[], Slopes | None] = lambda: None  # of the losses in outputs, A's and B's, by A's paths


def sizes_of(question: LossQuestion) -> list[tuple[int, str]]:
    """Numbers that a constant ratio can be, with their names."""
    z = next(iter(question.outputs_a.values()))
    found = [(z.shape[-1], "classes" if z.ndim > 1 else "outputs"), (len(z), "examples")]
    found += [(int(n), "places") for n in z.shape[1:-1]]
    return [*found, (z.size, "elements"), (math.prod(z.shape[:-1]), "examples and places")]


def nearly_equal(a: float, b: float, unit: float) -> bool:
    return abs(a - b) <= 1e4 * unit * max(abs(a), abs(b), 1.0)


def outputs_agree(question: LossQuestion) -> bool:
    pairs = zip(question.outputs_a.values(), question.outputs_b.values(), strict=False)
    limit = 1e5 * question.unit
    return all(x.shape == y.shape and np.allclose(x, y, rtol=limit, atol=limit) for x, y in pairs)
