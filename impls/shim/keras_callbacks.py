"""Callbacks that Keras has under these names, with Keras's arguments: rates, files and whatever a function does."""

from __future__ import annotations

import csv
import inspect
import math
from collections.abc import Callable
from pathlib import Path

from impls.shim.callbacks import Callback, LearningRate, current_rate, is_rising, tell, watched
from impls.shim.trained import Model


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by `factor` where `monitor` has not got better by `min_delta` for `patience` epochs.

    After that `cooldown` epochs do not count. The rate of each epoch is kept in the history as "learning_rate".
    """

    def __init__(
        self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0,
        mode: str = "auto", min_delta: float = 1e-4, cooldown: int = 0, min_lr: float = 0.0,
    ) -> None:  # fmt: skip
        if not 0 < factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor is between 0 and 1, got {factor}")
        self.monitor, self.factor, self.patience, self.verbose = monitor, factor, patience, verbose
        self.min_delta, self.cooldown, self.min_lr = abs(min_delta), cooldown, min_lr
        self.sign = -1.0 if is_rising(monitor, None, mode, "ReduceLROnPlateau") else 1.0

    def begin(self, model: Model, epochs: int) -> None:
        if model.optimizer is not None and callable(model.optimizer.learning_rate):
            raise ValueError(
                "ReduceLROnPlateau sets the learning rate, which this optimizer has from a schedule: give it a number"
            )
        self.best: float | None = None  # the first one, which may be no number
        self.waited, self.resting = 0, 0

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        value, rate = watched(self, self.monitor, logs), current_rate(model)
        logs["learning_rate"] = rate
        if value is None:
            return
        if self.resting:
            self.resting -= 1
            self.waited = 0
        if self.best is None or self.sign * value + self.min_delta < self.best:
            self.best, self.waited = self.sign * value, 0
        elif not self.resting:
            self.waited += 1
            if self.waited >= self.patience and rate > self.min_lr:
                self._reduce(model, epoch, rate)

    def _reduce(self, model: Model, epoch: int, rate: float) -> None:
        model.learning_rate = max(rate * self.factor, self.min_lr)
        self.resting, self.waited = self.cooldown, 0
        if self.verbose:
            tell(epoch, f"ReduceLROnPlateau reducing learning rate to {model.learning_rate}.")


class LearningRateScheduler(LearningRate):
    """`LearningRate` under Keras's name: `schedule(epoch, rate)` if it takes two arguments, or `schedule(epoch)`."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__(schedule)
        self.wants_rate = takes_two(schedule)  # also where the second one has a default, as in Keras
        self.verbose = verbose

    def before_epoch(self, model: Model, epoch: int) -> None:
        super().before_epoch(model, epoch)
        if self.verbose:
            tell(epoch, f"LearningRateScheduler setting learning rate to {model.learning_rate}.")


def takes_two(function: Callable[..., object]) -> bool:
    """Whether a function can be called with two arguments."""
    try:
        inspect.signature(function).bind(0, 0)
    except (TypeError, ValueError):  # or one that is written in C
        return False
    return True


class ModelCheckpoint(Callback):
    """Save the model after each epoch, or with `save_best_only` after one whose `monitor` is the best so far.

    `filepath` ends in .npz and may name values: "{epoch:02d}-{val_loss:.2f}.npz", epochs counted from 1. The file has
    the optimizer too, for `model.load`; with `save_weights_only` it is one for `model.load_weights`.
    """

    def __init__(
        self, filepath: str | Path, monitor: str = "val_loss", verbose: int = 0, save_best_only: bool = False,
        save_weights_only: bool = False, mode: str = "auto", save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:  # fmt: skip
        if save_freq != "epoch":
            raise ValueError(f"ModelCheckpoint: save_freq is 'epoch', since fit calls by epoch: got {save_freq!r}")
        if Path(filepath).suffix != ".npz":
            raise ValueError(f"ModelCheckpoint: the shim saves .npz files, such as 'best.npz', got {str(filepath)!r}")
        self.path, self.monitor, self.verbose = str(filepath), monitor, verbose
        self.best_only, self.weights_only = save_best_only, save_weights_only
        self.sign = -1.0 if is_rising(monitor, None, mode, "ModelCheckpoint") else 1.0
        self.best = None if initial_value_threshold is None else self.sign * initial_value_threshold

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        if self.best_only and not self._better(epoch, logs):
            return
        try:
            path = Path(self.path.format(epoch=epoch + 1, **logs))
        except KeyError as error:
            raise ValueError(
                f"ModelCheckpoint: {self.path!r} names {error}, known are epoch, {', '.join(logs)}"
            ) from None
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.verbose:
            tell(epoch, f"saving model to {path}")
        (model.save_weights if self.weights_only else model.save)(path)

    def _better(self, epoch: int, logs: dict[str, float]) -> bool:
        value = watched(self, self.monitor, logs)
        if value is None:
            return False
        if self.best is None or self.sign * value < self.best:
            self.best = self.sign * value
            return True
        if self.verbose:
            tell(epoch, f"{self.monitor} did not improve from {self.sign * self.best:.5f}")
        return False


class CSVLogger(Callback):
    """One line an epoch into a file: "epoch", and the logs by the names that the first epoch has, in their order.

    A file that is there is written anew, or with `append` continued.
    """

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.path, self.separator, self.append = Path(filename), separator, append

    def begin(self, model: Model, epochs: int) -> None:
        self.keys: list[str] = []
        self.goes_on = self.append and self.path.exists() and self.path.stat().st_size > 0
        if not self.goes_on:
            self.path.write_text("", encoding="utf-8")

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        first = not self.keys
        if first:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):  # they may come in a later epoch
                self.keys += [f"val_{key}" for key in self.keys]
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if first and not self.goes_on:
                writer.writerow(["epoch", *self.keys])
            writer.writerow([epoch, *(logs.get(key, "NA") for key in self.keys)])


class TerminateOnNaN(Callback):
    """End the training after an epoch whose loss is not finite."""

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            tell(epoch, "Invalid loss, terminating training")
            model.stop = True


class LambdaCallback(Callback):
    """Calls functions: `on_epoch_begin(epoch, logs)`, `on_epoch_end(epoch, logs)`, `on_train_begin(logs)` ..."""

    def __init__(
        self, on_epoch_begin: Callable[..., object] | None = None, on_epoch_end: Callable[..., object] | None = None,
        on_train_begin: Callable[..., object] | None = None, on_train_end: Callable[..., object] | None = None,
        **others: object,
    ) -> None:  # fmt: skip
        if others:
            raise ValueError(f"LambdaCallback: fit calls by epoch, not {', '.join(others)}")
        given = {
            "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin, "on_train_end": on_train_end,
        }  # fmt: skip
        for name, function in given.items():
            if function is not None:
                setattr(self, name, function)
