"""A network while it is drawn: what layers may be added to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LARGEST_WEIGHT = 20_000
Layer = dict[str, Any]


@dataclass
class Growing:
    """A network while layers are added: the shape of each value (without the batch), and which nobody reads yet."""

    rng: np.random.Generator
    batch: int
    most: int
    shapes: list[tuple[int, ...]]
    unread: list[int]
    layers: list[Layer] = field(default_factory=list)
    masked: bool = False

    def pick(self, values: Any) -> Any:
        """One of `values`."""
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def add(self, kind: str, sources: list[int], shape: tuple[int, ...], **options: Any) -> int:
        """Append a layer; the value that it makes."""
        name = f"l{len(self.layers)}"
        self.layers.append({"kind": kind, "name": name, **options, "from": sources})
        self.shapes.append(shape)
        value = len(self.shapes) - 1
        self.unread = [at for at in self.unread if at not in sources] + [value]
        return value

    def fits(self, shape: tuple[int, ...]) -> bool:
        return 0 < math.prod(shape) * self.batch <= self.most
