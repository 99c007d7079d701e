"""Random numbers that a model draws while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


class Draws:
    """Random numbers that a model draws while it runs: the same on both sides, one stream for each draw."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.count = 0

    def stream(self) -> np.random.Generator:
        self.count += 1
        return np.random.default_rng([self.seed, self.count])

    def uniform(self, shape: Sequence[int]) -> np.ndarray:
        return self.stream().uniform(size=tuple(shape))

    def normal(self, shape: Sequence[int]) -> np.ndarray:
        return self.stream().standard_normal(tuple(shape))
