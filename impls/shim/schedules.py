"""Learning rates by the number of updates done before, `step`: a number or a NumPy array of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Number: TypeAlias = Any  # a number, or a NumPy array of them


@dataclass(frozen=True)
class ExponentialDecay:
    """learning_rate * decay_rate ** (step / decay_steps); `step` updates have been done before."""

    learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __call__(self, step: Number) -> Number:
        power = step // self.decay_steps if self.staircase else step / self.decay_steps
        return self.learning_rate * self.decay_rate**power


@dataclass(frozen=True)
class CosineDecay:
    """Loshchilov and Hutter (2017): half a cosine from the first rate to `alpha` times it, then constant.

    With a `warmup_target` it rises in a line from `learning_rate` to that in `warmup_steps`, and falls from there.
    """

    learning_rate: float
    decay_steps: int
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        if self.decay_steps <= 0:
            raise ValueError(f"CosineDecay: decay_steps is above 0, got {self.decay_steps}")

    def __call__(self, step: Number) -> Number:
        if self.warmup_target is None:
            return self._falling(step, self.learning_rate)
        rise = (self.warmup_target - self.learning_rate) * (step / max(self.warmup_steps, 1))
        falling = self._falling(step - self.warmup_steps, self.warmup_target)
        return np.where(step < self.warmup_steps, self.learning_rate + rise, falling)[()]

    def _falling(self, step: Number, first: float) -> Number:
        done = np.clip(step / self.decay_steps, 0.0, 1.0)
        return first * ((1 - self.alpha) * 0.5 * (1 + np.cos(np.pi * done)) + self.alpha)


@dataclass(frozen=True)
class PiecewiseConstant:
    """values[0] up to and with step boundaries[0], values[1] up to and with boundaries[1], ..., then the last one."""

    boundaries: Sequence[int]
    values: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"PiecewiseConstant: {len(self.boundaries)} boundaries have {len(self.boundaries) + 1} values between "
                f"them, got {len(self.values)}"
            )

    def __call__(self, step: Number) -> Number:
        return np.asarray(self.values, float)[np.searchsorted(self.boundaries, step)]


Schedule: TypeAlias = ExponentialDecay | CosineDecay | PiecewiseConstant
