"""The loss scale of float16, by Micikevicius et al. (2018), with the constants of Keras's LossScaleOptimizer."""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST = 2.0**-126  # the scale is a float32


@dataclass
class LossScale:
    """The loss is multiplied by `value` before the backward pass, the gradients are divided by it after.

    Where a gradient is not finite the update is left out, and the scale halves; after `interval` updates in a row it
    doubles. An update that is left out is not counted: neither by a schedule nor by Adam's corrections.
    """

    value: float = 2.0**15
    good: int = 0  # updates since the scale has changed
    interval: int = 2000

    def follow(self, finite: bool) -> None:
        """What comes after an update, or after one that was left out."""
        self.good += 1
        if not finite:
            self.value, self.good = max(self.value / 2, SMALLEST), 0
        elif self.good >= self.interval:
            self.value, self.good = self.value * 2, 0
