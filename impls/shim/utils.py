"""What programs of Keras take from `keras.utils`, as far as the shim has it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from impls.shim.config import SEED
from impls.shim.keras_names import elsewhere

__all__ = ["PyDataset", "set_random_seed", "to_categorical"]


class PyDataset:
    """What a data set of one's own begins with, as in Keras: `len` batches, which `self[at]` gives.

    The options say how Keras reads them ahead, in threads or processes; here they are read one after the other.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def on_epoch_end(self) -> None:
        """After each epoch."""


def set_random_seed(seed: int) -> None:
    """Seed Python's and NumPy's drawing, and each model that is made from now on and names no `seed`."""
    random.seed(seed)
    np.random.seed(seed)
    SEED[0] = seed


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> np.ndarray:
    """Classes (...) or (..., 1) as rows with a one, (..., num_classes); `fit` takes them without that too."""
    classes = np.asarray(x).astype(int)
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    rows = np.eye(int(classes.max(initial=-1)) + 1 if num_classes is None else num_classes)
    if classes.size and not 0 <= classes.min() <= classes.max() < len(rows):
        raise ValueError(f"to_categorical: classes are 0 to {len(rows) - 1}, got {classes.min()} to {classes.max()}")
    found: np.ndarray = rows[classes]
    return found


if not TYPE_CHECKING:  # a type checker shall know what is there

    def __getattr__(name: str) -> object:
        return elsewhere("utils", name, "fit takes any iterable of batches, such as an object with a length and items")
