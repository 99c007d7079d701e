"""The loss scale of float16, by Keras's documentation of LossScaleOptimizer."""

from __future__ import annotations

from typing import Any

import numpy as np

LIMIT = 65520.0  # the smallest number that float16 rounds to infinity


class LossScale:
    """What decides whether an update is done. `interval` is Keras's dynamic_growth_steps."""

    def __init__(self, value: float = 2.0**15, good: int = 0, interval: int = 2000) -> None:
        self.value, self.good, self.interval = value, good, interval

    def allows(self, grads: dict[str, Any]) -> bool:
        """Whether the scaled gradients are numbers of float16; the scale goes on to what holds for the next ones.

        It is exact where no sum on the way to a gradient is larger than the gradient.
        """
        largest = max(float(np.abs(g).max()) for g in grads.values())
        if largest * self.value >= LIMIT:
            self.value, self.good = self.value / 2, 0
            return False
        if self.good == self.interval - 1:
            self.value, self.good = self.value * 2, 0
        else:
            self.good += 1
        return True
