"""The batches of a training: of an iterable, or of arrays in an order drawn for each epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from impls.shim import data
from impls.shim.data import Data
from impls.shim.trained import Model

Columns: TypeAlias = dict[str, np.ndarray]
BATCH = 32  # where nobody says anything, as in Keras


class Stream:
    """The batches of an iterable: iterating it is one epoch.

    With `steps` an epoch is so many batches, and the next one goes on where it ended; the iterable begins again when it
    is empty, with `again` at each epoch. A generator cannot: without `steps` it is one epoch. A thing with a length and
    items, as Keras's PyDataset, is told the end of an epoch by its `on_epoch_end`.
    """

    def __init__(self, source: Data, steps: int | None, epochs: int = 1, again: bool = False) -> None:
        if not hasattr(source, "__iter__") and not hasattr(source, "__getitem__"):
            raise ValueError(f"x is {type(source).__name__}: with no y it is an iterable of batches (x, y)")
        self.source = source
        self.steps = steps
        self.once = hasattr(source, "__next__")
        self.again = again and not self.once
        self.running: Iterator[Data] | None = None
        if self.once and steps is None and epochs > 1:
            raise ValueError(
                "a generator is empty after one epoch: give steps_per_epoch=, a list, or an object that can start again"
            )

    def first(self) -> Data:
        """The first batch, which is not lost."""
        self.running = self._begin()
        batch = next(self.running, None)
        if batch is None:
            raise ValueError("the iterable of batches is empty")
        self.running = itertools.chain([batch], self.running)
        return batch

    def __iter__(self) -> Iterator[Data]:
        running = None if self.again else self.running
        running = running or self._begin()
        if self.steps is None:
            self.running = None
            yield from running
        else:
            self.running = running
            yield from self._steps(self.steps)
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()

    def _begin(self) -> Iterator[Data]:
        source = self.source
        if hasattr(source, "__iter__"):
            return iter(source)
        return (source[at] for at in range(len(source)))

    def _steps(self, steps: int) -> Iterator[Data]:
        nothing = object()
        for at in range(steps):
            batch = next(self.running or iter(()), nothing)
            if batch is nothing and not self.once:
                self.running = self._begin()
                batch = next(self.running, nothing)
            if batch is nothing:
                raise ValueError(f"the batches ended after {at} of the {steps} steps of this epoch")
            yield batch


class Slices:
    """Batches of columns, in an order drawn for each epoch or as they are: all of them, or the first `steps`."""

    def __init__(
        self, model: Model, columns: Columns, batch_size: int, shuffle: bool = False, steps: int | None = None
    ) -> None:
        self.model = model
        self.columns = columns
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.steps = steps

    def __iter__(self) -> Iterator[Columns]:
        count = data.length(self.columns)
        order = self.model.rng.permutation(count) if self.shuffle else None
        for at in range(0, count, self.batch_size)[: self.steps]:
            part = slice(at, at + self.batch_size)
            yield {name: c[part] if order is None else c[order[part]] for name, c in self.columns.items()}
