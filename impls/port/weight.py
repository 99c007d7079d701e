"""A weight of a user's model: its native tensors, and the way to the canonical array and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

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
