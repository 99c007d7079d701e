"""The epochs of a training: where their batches come from, what is told about each, and the history."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from impls.shim import backends, data
from impls.shim.backends.contract import Array, Arrays
from impls.shim.batches import BATCH, Columns, Slices, Stream
from impls.shim.callbacks import Callback, EpochLines, ProgressBar, check
from impls.shim.data import Data
from impls.shim.trained import Model

Changed: TypeAlias = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # images by another copy of them
# Trains one; gives the sums over its examples of loss and metrics, and their number.
Epoch: TypeAlias = Callable[[], tuple[Array, int]]
Batches: TypeAlias = Callable[[], Iterable[Columns]]  # those of one pass over data that are judged


class History(dict[str, "list[float]"]):
    """What `fit` returns: for "loss" and each metric a value an epoch, and `epoch`, their numbers from 0.

    `history.history["loss"]`, as in Keras, is `history["loss"]`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []

    @property
    def history(self) -> dict[str, list[float]]:
        """The values as a plain dictionary."""
        return dict(self)

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """One epoch more."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.setdefault(name, []).append(value)


class Order(NamedTuple):
    """How an epoch goes through the training data."""

    batch_size: int
    shuffle: bool
    augment: Changed | None
    steps: int | None  # so many batches, not all of them
    class_weight: Data


class Validation(NamedTuple):
    """Data that are judged after an epoch."""

    batches: Batches
    frequency: int | Sequence[int]  # every so many epochs, or after those of a list, counted from 1

    def due(self, epoch: int) -> bool:
        """Whether it is after epoch number `epoch`, from 0."""
        if isinstance(self.frequency, int):
            return (epoch + 1) % self.frequency == 0
        return epoch + 1 in self.frequency


def train(
    model: Model, epoch_of: Epoch, first: int, last: int, callbacks: Sequence[Callback], validation: Validation | None
) -> History:
    """Run the epochs; without callbacks or validation nothing is waited for before the end."""
    history, waiting = History(), []
    model.stop, model.epoch = False, first
    for callback in callbacks:
        callback.model = model
        callback.validated = validation is not None
        callback.params, callback.told = {"epochs": last}, {}
        callback.begin(model, last)
    while model.epoch < last and not model.stop:
        for callback in callbacks:
            callback.before_epoch(model, model.epoch)
        waiting.append(epoch_of())
        model.epoch += 1
        if callbacks or validation:
            logs = results(model, waiting.pop())
            if validation and validation.due(model.epoch - 1):
                logs.update(judged(model, validation.batches(), "val_"))
            for callback in callbacks:
                callback.after_epoch(model, model.epoch - 1, logs)
                callback.told = logs
            history.add(model.epoch - 1, logs)
    if model.optimizer is not None and model.optimizer.use_ema and model.epoch > first:
        take_averages(model)  # before a callback puts other weights in
    for callback in callbacks:
        callback.end(model)
    for at, totals in enumerate(waiting):
        history.add(first + at, results(model, totals))
    return history


def results(model: Model, totals: tuple[Array, int]) -> dict[str, float]:
    """The means of an epoch from its sums."""
    total, count = totals
    return model.named(np.asarray(model.B.numpy(total)) / count)


def judged(model: Model, batches: Iterable[Columns], prefix: str = "") -> dict[str, float]:
    """Loss and metrics in inference mode, the mean over the examples of all batches."""
    parts = []
    for columns in batches:
        call = model.function("evaluate", tuple(columns))
        native = tuple([model.native(column) for column in columns.values()])
        parts.append((call(model.parameters(), native), data.length(columns)))
    if not parts:
        raise ValueError("there is nothing to evaluate: the data have no batches")
    count = sum(size for _, size in parts)
    return model.named(sum(np.asarray(model.B.numpy(value)) * size for value, size in parts) / count, prefix)


def whole_epochs(model: Model, columns: Columns, batch_size: int, shuffle: bool, augment: Changed | None) -> Epoch:
    """Epochs over columns that stay on the device, each as one call."""
    count, first = data.length(columns), model.input_names[0]
    held = {name: model.native(column) for name, column in columns.items()}

    def run() -> tuple[Array, int]:
        used = dict(held)
        if augment:
            used[first] = model.native(augment(columns[first], model.rng))
        if shuffle:
            order = model.native(model.rng.permutation(count))
            used = {name: model.B.rows(column, order) for name, column in used.items()}
        used.update((name, model.native(mask)) for name, mask in data.noise(model, columns).items())
        if model.scaled:
            return step_by_step(model, used, batch_size), count
        call = model.function("epoch", tuple(used))
        rates = model.rates(-(-count // batch_size))
        model.carry, total = call(model.carry, rates, tuple(used.values()), batch_size)
        return total, count

    return run


def step_by_step(model: Model, columns: Arrays, batch_size: int) -> Array:
    """An epoch of native columns in float16, where each update's rates depend on which ones were done."""
    names, total = tuple(columns), 0.0
    for parts in zip(*(backends.batches(column, batch_size) for column in columns.values()), strict=True):
        total = total + model.step(*parts, names=names) * len(parts[0])
    return total


def epochs_of_batches(model: Model, batches: Stream, augment: Changed | None, class_weight: Data = None) -> Epoch:
    """Epochs over the batches of a stream, a step each."""

    def run() -> tuple[Array, int]:
        total, count = 0.0, 0
        for columns in data.iterated(model, batches, class_weight):
            size = data.length(columns)
            if augment:
                columns[model.input_names[0]] = augment(columns[model.input_names[0]], model.rng)
            total, count = total + model.step_on(columns) * size, count + size
        if not count:
            raise ValueError("the iterable of batches is empty")
        return total, count

    return run


def epochs_of_iterable(model: Model, source: Data, epochs: int, order: Order) -> Epoch:
    """What trains an epoch of an iterable of batches, which has to last for so many epochs."""
    stream = stream_of(model, source, order.steps, epochs)
    return epochs_of_batches(model, stream, order.augment, order.class_weight)


def stream_of(model: Model, source: Data, steps: int | None, epochs: int) -> Stream:
    """The batches of an iterable; the first one decides shapes that are not known."""
    if data.is_array(source):
        raise ValueError("y is missing: fit(x, y), or fit(batches) of an iterable of (x, y)")
    stream = Stream(source, steps, epochs)
    model.ready(stream.first()[0] if model.input_shape is None else None)
    return stream


def epochs_of_data(
    model: Model, x: Data, y: Data, sample_weight: Data, split: float, order: Order
) -> tuple[Epoch, Data]:  # fmt: skip
    """What trains an epoch of arrays, and the columns that are held out of them: the share `split`."""
    model.ready(x)
    columns = data.columns(model, x, y, sample_weight)
    columns, held = data.held_out(columns, split)
    columns = data.weighed(model, columns, columns.get("w"), order.class_weight)  # in training alone, as Keras has it
    return epochs_of_arrays(model, columns, order.batch_size, order.shuffle, order.augment, order.steps), held


def epochs_of_arrays(
    model: Model, columns: Columns, batch_size: int, shuffle: bool, augment: Changed | None, steps: int | None
) -> Epoch:
    """What trains an epoch of arrays: all of their batches, or `steps` of those of an endless stream."""
    if steps is None:
        return whole_epochs(model, columns, batch_size, shuffle, augment)
    stream = Stream(Slices(model, columns, batch_size, shuffle), steps)
    return epochs_of_batches(model, stream, augment)


def judged_batches(model: Model, given: Data, held: Data, batch_size: int, steps: int | None) -> Batches | None:
    """A function that gives the batches to judge, None where there are none.

    `given`: arrays or an iterable of batches; `held`: columns that were held out of the training data.
    """
    if given is not None and isinstance(given, (tuple, list)):
        held = data.columns(model, *given)
    elif given is not None:
        stream = Stream(given, steps, 2, again=True)  # the same examples are judged after every epoch
        return lambda: data.iterated(model, stream)
    if held is None:
        return None
    slices = Slices(model, held, batch_size, steps=steps)
    return lambda: slices


def batches_of(
    model: Model, x: Data, y: Data, sample_weight: Data, batch_size: int | None, steps: int | None
) -> Iterable[Columns]:
    """The batches of one pass over arrays, or over an iterable of batches."""
    if y is None:
        return data.iterated(model, stream_of(model, x, steps, 1))
    model.ready(x)
    size = batch_size or (1024 if steps is None else BATCH)
    return Slices(model, data.columns(model, x, y, sample_weight), size, steps=steps)


def take_averages(model: Model) -> None:
    """The averages of the weights, which the optimizer kept, take their places."""
    slots = model.get_slots().items()
    averages = {name.partition("/")[2]: w for name, w in slots if name.startswith("average/")}
    model.set_weights({**model.get_weights(), **averages})


def with_progress(verbose: str | int, callbacks: Callback | Sequence[Callback] | None) -> list[Callback]:
    """The callbacks, and a bar (1) or a line an epoch (2); "auto" is a bar on a terminal that someone sits at."""
    found = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or ())
    for callback in found:
        check(callback)
    if verbose == "auto":
        seen = sys.stderr.isatty() and sys.stdin is not None and sys.stdin.isatty()
        verbose = int(seen and not any(isinstance(callback, ProgressBar) for callback in found))
    if verbose not in (0, 1, 2):
        raise ValueError(f"unknown verbose {verbose!r}: known are 'auto', 0, 1 and 2")
    if verbose:
        found.append(ProgressBar() if verbose == 1 else EpochLines())
    return found
