"""What callbacks do to a training, by Keras's documentation: the oracle's side of each."""

from __future__ import annotations

import math
from typing import Any

from suites.references.defaults import EARLY_STOPPING


class Callback:
    """Does nothing."""

    def begin(self, oracle: Any) -> None: ...

    def before(self, oracle: Any, epoch: int) -> None: ...

    def after(self, oracle: Any, epoch: int, logs: dict[str, Any]) -> None: ...

    def end(self, oracle: Any) -> None: ...


class EarlyStopping(Callback):
    """Stops where nothing has got better by more than `min_delta` for `patience` epochs; back to the best weights."""

    def __init__(self, key: str = "", **given: Any) -> None:
        self.options = {**EARLY_STOPPING, **given}  # each starts afresh, whatever its key

    def begin(self, oracle: Any) -> None:
        self.best, self.best_epoch, self.waited = -math.inf, -1, 0
        self.weights: Any = None

    def after(self, oracle: Any, epoch: int, logs: dict[str, Any]) -> None:
        o = self.options
        rising = o["higher"]
        if rising is None:  # as Keras tells it
            rising = o["mode"] == "max" or (o["mode"] == "auto" and "accuracy" in o["monitor"])
        height = float(logs[o["monitor"]]) if rising else -float(logs[o["monitor"]])
        if height - self.best > o["min_delta"]:
            self.best, self.best_epoch, self.waited = height, epoch, 0
            self.weights = dict(oracle.weights)
        else:
            self.waited += 1
            oracle.stop = oracle.stop or self.waited >= o["patience"]

    def end(self, oracle: Any) -> None:
        if self.options["restore_best_weights"] and self.weights is not None:
            oracle.weights = self.weights


class LearningRate(Callback):
    """Sets the rate of each epoch, in place of the optimizer's."""

    def __init__(self, rates: list[float]) -> None:
        self.rates = rates

    def before(self, oracle: Any, epoch: int) -> None:
        oracle.rate = self.rates[epoch]

    def after(self, oracle: Any, epoch: int, logs: dict[str, Any]) -> None:
        logs["learning_rate"] = self.rates[epoch]


class Checkpoint(Callback):
    """Saves after each epoch."""

    def __init__(self, path: str) -> None:
        self.path = path

    def after(self, oracle: Any, epoch: int, logs: dict[str, Any]) -> None:
        oracle.do_save(self.path)


def callback_of(name: str, options: dict[str, Any]) -> Callback:
    """By its name; what only writes or shows changes no training."""
    known: dict[str, type[Callback]] = {
        "EarlyStopping": EarlyStopping,
        "LearningRate": LearningRate,
        "Checkpoint": Checkpoint,
    }
    return known.get(name, Callback)(**(options if name in known else {}))
