"""A weight of a user's model: its native tensors, and the way to the canonical array and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from impls.port.annotations import Native, Read, Write


class Weight:
    """A parameter or a running statistic of a layer: native tensors and the way to the canonical array and back.

    `shared` are further native tensors that hold the same numbers by the model's own doing. `summed`: the model adds
    its tensors up, so that each of them has the gradient. `slope` is the way from their gradients to the canonical one.
    """

    summed = False

    def __init__(
        self,
        layer: str,
        kind: str,
        role: str,
        tensors: Iterable[Native],
        read: Read | None = None,
        write: Write | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        self.layer = layer
        self.kind = kind
        self.role = role
        self.tensors = list(tensors)
        self.trainable = trainable
        self.name = name or f"{layer}/{role}"
        self.read = read or (lambda arrays: arrays[0])
        self.slope = self.read
        self.write = write or (lambda array: [array])


def added_up(one: Weight, two: Weight) -> Weight:
    """The sum of two weights as one, under the name of the first; the second is zero where it is written."""
    count = len(one.tensors)

    def read(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return one.read(arrays[:count]) + two.read(arrays[count:])

    def write(array: np.ndarray) -> list[np.ndarray]:
        return [*one.write(array), *two.write(np.zeros_like(array))]

    made = Weight(one.layer, one.kind, one.role, [*one.tensors, *two.tensors], read, write, one.trainable, one.name)
    made.summed = True
    return made
