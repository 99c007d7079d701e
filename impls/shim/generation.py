"""Sequences that go on: attention keeps keys and values of earlier places, so that a new one costs one place."""

from __future__ import annotations

from typing import Any

import numpy as np

from impls.shim.backends.contract import Array, Backend, Carry, Columns, Constant
from impls.shim.data import Data
from impls.shim.layer import Run


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


def extend(model: Any, x: Data, cache: KeyValueCache) -> np.ndarray:
    """See `Model.extend`."""
    _check(model)
    run = Run(False)
    run.cache = cache

    def function(carry: Carry, columns: Columns) -> Array:
        return model.apply({**carry["state"], **carry["weights"]}, columns[0], run)

    columns = (model.native(x),)
    y = model.B.compile_inference(function, model.carry, "eager")(model.parameters(), columns)
    cache.places += np.shape(x)[1]
    return model.B.numpy(y)  # type: ignore[no-any-return]


def _check(model: Any) -> None:
    """Raises ValueError for the first layer whose output at a place depends on more than places before it."""
    if model.outputs:
        raise ValueError(f"a cache is for models of one output, this one has {', '.join(model.output_names)}")
    if len(model.input_names) != 1:
        raise ValueError(f"a cache is for models of one sequence, this one has {len(model.input_names)} inputs")
    for layer in model.layers:
        if not layer.per_place:
            raise ValueError(
                f"layer {layer.name!r} ({type(layer).__name__}) can't go on from a cache: its output at a place "
                "depends on other places (a layer of your own says `per_place = True` where it does not)"
            )
        layer.check_cached()
