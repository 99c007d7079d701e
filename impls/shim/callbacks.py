"""Callbacks: objects that `fit` tells about each epoch. `logs` holds loss and metrics, `val_` ones included."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from impls.shim.keras_names import elsewhere
from impls.shim.trained import Model


class Callback:
    """Does nothing. A callback ends the training by `model.stop = True`.

    Keras's methods by epoch are called too, with the model as `self.model`, which `stop_training` ends as in Keras.
    """

    model: Model
    validated = False  # whether this `fit` judges other data, after some epochs at least
    params: Mapping[str, int] = {}  # as Keras has them: the "epochs" of this `fit`
    told: Mapping[str, float] = {}  # what the last epoch gave

    def begin(self, model: Model, epochs: int) -> None:
        """Before the first epoch."""
        self.on_train_begin({})

    def before_epoch(self, model: Model, epoch: int) -> None:
        """Before epoch `epoch`, counted from 0."""
        self.on_epoch_begin(epoch, {})

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        """After epoch `epoch`."""
        self.on_epoch_end(epoch, logs)

    def end(self, model: Model) -> None:
        """After the last epoch."""
        self.on_train_end(dict(self.told))

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Before the first epoch, as Keras calls it."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        """Before an epoch, as Keras calls it."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """After an epoch, as Keras calls it."""

    def on_train_end(self, logs: dict[str, float]) -> None:
        """After the last epoch, as Keras calls it."""


def check(callback: object) -> None:
    """Raise ValueError for what is no callback of the shim, or waits for calls by batch."""
    name = type(callback).__name__
    if not isinstance(callback, Callback):
        raise ValueError(f"a callback is a shim.Callback, got {name} of {type(callback).__module__}")
    calls = ("train_batch", "batch", "test", "test_batch", "predict", "predict_batch")
    methods = [f"on_{call}_{end}" for call in calls for end in ("begin", "end")]
    never = [method for method in methods if hasattr(callback, method)]
    if never:
        raise ValueError(f"callback {name} has {', '.join(never)}, which fit does not call: it calls by epoch")


RISING = ("accuracy", "acc", "auc")  # how the names of metrics end of which more is better


def is_rising(monitor: str, higher: bool | None, mode: str, who: str = "EarlyStopping") -> bool:
    """Whether more is better: as it is said, or by the name of the metric, as Keras tells it."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"unknown mode {mode!r} of {who}: known are auto, min, max")
    if higher is not None:
        return higher
    return mode == "max" or (mode == "auto" and monitor.lower().endswith(RISING))


def watched(callback: Callback, monitor: str, logs: dict[str, float]) -> float | None:
    """The value of an epoch, None of one without the validation that others have. Raises ValueError if none has it."""
    if monitor in logs:
        return logs[monitor]
    if callback.validated and monitor.startswith("val_") and monitor.removeprefix("val_") in logs:
        return None
    raise ValueError(f"{type(callback).__name__} watches {monitor!r}: known are {', '.join(logs)}")


def tell(epoch: int, text: str) -> None:
    """What Keras's callbacks say with `verbose`, on standard error."""
    sys.stderr.write(f"\nEpoch {epoch + 1}: {text}\n")


class EarlyStopping(Callback):
    """Stop when `monitor` has not fallen (or risen: `higher`) by `min_delta` for `patience` epochs.

    Where nothing is said, an accuracy has to rise and all else to fall.
    """

    weights: dict[str, np.ndarray] | None  # the best ones

    def __init__(
        self, monitor: str = "val_loss", *, patience: int = 0, min_delta: float = 0.0,
        higher: bool | None = None, restore_best_weights: bool = True, mode: str = "auto", verbose: int = 0,
    ) -> None:  # fmt: skip
        self.monitor, self.patience, self.min_delta, self.verbose = monitor, patience, abs(min_delta), verbose
        self.higher = is_rising(monitor, higher, mode)
        self.restore = restore_best_weights

    def begin(self, model: Model, epochs: int) -> None:
        self.best, self.waited, self.weights = float("inf"), 0, None
        self.best_epoch: int | None = None

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        found = watched(self, self.monitor, logs)
        if found is None:
            return
        value = -found if self.higher else found
        if self.best_epoch is None or value < self.best - self.min_delta:  # the first one may be no number
            self.best, self.waited, self.best_epoch = value, 0, epoch
            self.weights = model.get_weights() if self.restore else None
            return
        self.waited += 1
        if self.waited >= self.patience:  # never False: another callback may have ended the training
            model.stop = True
            if self.verbose:
                tell(epoch, "early stopping")

    def end(self, model: Model) -> None:
        if self.weights is not None:
            model.set_weights(self.weights)


class Checkpoint(Callback):
    """Save the model with its optimizer after each epoch; `model.load(path)` and `fit` go on from there."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        model.save(self.path)


class LearningRate(Callback):
    """The learning rate of each epoch by `schedule(epoch)`, kept in the history; nothing is traced again.

    A schedule of two arguments, as Keras's may be, is given the epoch and the rate so far.
    """

    def __init__(self, schedule: Callable[..., float]) -> None:
        self.schedule = schedule
        self.wants_rate = len(needed(schedule)) > 1

    def before_epoch(self, model: Model, epoch: int) -> None:
        if self.wants_rate:
            model.learning_rate = self.schedule(epoch, current_rate(model))
        else:
            model.learning_rate = self.schedule(epoch)

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        logs["learning_rate"] = model.learning_rate  # type: ignore[assignment]  # set before the epoch


def current_rate(model: Model) -> float:
    """The rate of the next update."""
    return float(model.optimizer.rate(model.t + 1, model.learning_rate))  # type: ignore[union-attr]  # it is compiled


def needed(function: Callable[..., object]) -> list[str]:
    """The arguments that a function has to be given."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # one that is written in C
        return []
    return [
        p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]


class CSVLog(Callback):
    """One line an epoch into a file; an existing file is continued."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8") as file:
            if new:
                file.write(",".join(["epoch", *logs]) + "\n")
            file.write(",".join([str(epoch), *(repr(value) for value in logs.values())]) + "\n")


class ProgressBar(Callback):
    """One line that is written over, on standard error."""

    def begin(self, model: Model, epochs: int) -> None:
        self.epochs, self.start = epochs, time.perf_counter()

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        done = 30 * (epoch + 1) // self.epochs
        values = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
        seconds = time.perf_counter() - self.start
        sys.stderr.write(f"\r[{'=' * done:30}] {epoch + 1}/{self.epochs}  {seconds:.1f} s  {values} ")
        sys.stderr.flush()

    def end(self, model: Model) -> None:
        sys.stderr.write("\n")


class EpochLines(Callback):
    """One line an epoch, on standard error."""

    def begin(self, model: Model, epochs: int) -> None:
        self.epochs, self.start = epochs, time.perf_counter()

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        values = "".join(f" - {name}: {value:.4f}" for name, value in logs.items())
        sys.stderr.write(f"Epoch {epoch + 1}/{self.epochs} - {time.perf_counter() - self.start:.1f} s{values}\n")
        self.start = time.perf_counter()


if not TYPE_CHECKING:  # a type checker shall know what is there

    def __getattr__(name: str) -> object:
        return elsewhere("callbacks", name, "any that the shim does not have is a shim.Callback of your own")
