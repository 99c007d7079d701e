"""Keys and values that attention has computed, so that none is computed twice."""

from __future__ import annotations

import numpy as np

from impls.shim.backends.contract import Array, Backend, Constant


class KeyValueCache:
    """Keys and values that each attention of a model computed for the `places` so far; empty at first."""

    def __init__(self) -> None:
        self.places = 0
        self.kept: dict[str, tuple[Array, Array]] = {}

    def grow(self, B: Backend, name: str, k: Array, v: Array) -> tuple[Array, Array]:
        """Those of the attention `name` with new ones, (N, T, heads, units), behind them."""
        if name in self.kept:
            before = self.kept[name]
            k = B.concatenate(before[0], k, axis=1)
            v = B.concatenate(before[1], v, axis=1)
        self.kept[name] = k, v
        return k, v

    def visible(self, B: Backend, steps: int, like: Array) -> Array:
        """Which keys each of `steps` new queries looks at, (1, 1, steps, places + steps): itself and those before."""
        return B.constant(Constant(np.tri(steps, self.places + steps, self.places)[None, None]), like) > 0
