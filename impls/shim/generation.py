"""Sequences that go on: attention keeps keys and values of earlier places, so that a new one costs one place."""

from __future__ import annotations

import numpy as np

from impls.shim.backends.contract import Array, Carry, Columns
from impls.shim.data import Data
from impls.shim.key_value_cache import KeyValueCache
from impls.shim.layer import Run
from impls.shim.trained import Model


def extend(model: Model, x: Data, cache: KeyValueCache) -> np.ndarray:
    """See `Model.extend`."""
    _check(model)
    run = Run(False)
    run.cache = cache

    def function(carry: Carry, columns: Columns) -> Array:
        return model.apply({**carry["state"], **carry["weights"]}, columns[0], run)

    columns = (model.native(x),)
    y = model.B.compile_inference(function, model.carry, "eager")(model.parameters(), columns)
    cache.places += np.shape(x)[1]
    return model.B.numpy(y)


def _check(model: Model) -> None:
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
