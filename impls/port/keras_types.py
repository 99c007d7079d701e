"""Keras in float64, or in the lower type of a worker, while a port runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import keras
from keras.src.backend.common import dtypes

from impls import private_apis
from impls.port.libraries import what_engines_lack
from impls.port.low_precision import is_float64, working_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from impls.port.annotations import Function, Native, Shape

private_apis.check(__name__)


@contextlib.contextmanager
def float64_everywhere() -> Iterator[None]:
    """Keras computes in float64 what it is given in float64, and makes weights in it; after it Keras is as before.

    By itself it answers float32 for two float64 arguments, on every backend but TensorFlow. In a worker of a lower type
    that is Keras's own default for weights and layers, and nothing else is changed.
    """
    if not is_float64():
        with low_type_everywhere():
            yield
        return
    narrowed = dtypes.BIT64_TO_BIT32_DTYPE
    kept = narrowed["float64"], keras.config.floatx(), keras.Layer.add_weight
    narrowed["float64"] = "float64"
    keras.config.set_floatx("float64")
    keras.Layer.add_weight = add_in_float64(keras.Layer.add_weight)
    try:
        with what_engines_lack():
            yield
    finally:
        narrowed["float64"] = kept[0]
        keras.config.set_floatx(kept[1])
        keras.Layer.add_weight = kept[2]


@contextlib.contextmanager
def low_type_everywhere() -> Iterator[None]:
    kept = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(working_type())
    keras.config.set_dtype_policy(working_type())
    try:
        yield
    finally:
        keras.config.set_floatx(kept[0])
        keras.config.set_dtype_policy(kept[1])


def add_in_float64(add_weight: Function) -> Function:
    """`add_weight` that makes in float64 what layers ask for in float32 by name, as Keras's own LoRA does."""

    def add(
        self: keras.Layer,
        shape: Shape | None = None,
        initializer: Native = None,
        dtype: str | None = None,
        *args: Native,
        **kwargs: Native,
    ) -> keras.Variable:
        dtype = "float64" if dtype == "float32" else dtype
        return add_weight(self, shape, initializer, dtype, *args, **kwargs)

    return add
