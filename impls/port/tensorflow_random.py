"""What a user draws by TensorFlow itself: dropout is left out and told, other numbers are common to both sides."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from impls.replacing import replaced

if TYPE_CHECKING:
    from impls.port.annotations import Function, Native
    from impls.port.base import Port


def common(port: Port) -> contextlib.AbstractContextManager[None]:
    """`tf.nn.dropout` and the functions of `tf.random` are those of the port while a pass runs."""
    return replaced(functions(port))


def functions(port: Port) -> list[tuple[Native, str, Function]]:
    """(module, name, what takes its place)."""
    return [*dropouts(port), *draws(port)]


def dropouts(port: Port) -> list[tuple[Native, str, Function]]:
    """TensorFlow's three dropouts: their input as it is, and what they would have dropped told to the port."""

    def dropout(
        x: Native, rate: Native, noise_shape: Native = None, seed: Native = None, name: str | None = None
    ) -> tf.Tensor:
        port.dropped("elements" if noise_shape is None else "channels", float(rate), x, True)
        return tf.convert_to_tensor(x)

    def old_dropout(
        x: Native, keep_prob: Native = None, noise_shape: Native = None, seed: Native = None, name: str | None = None,
        rate: float | None = None,
    ) -> tf.Tensor:  # fmt: skip
        return dropout(x, 1 - keep_prob if rate is None else rate, noise_shape)

    def stateless_dropout(
        x: Native, rate: Native, seed: Native, rng_alg: str = "auto_select", noise_shape: Native = None,
        name: str | None = None,
    ) -> tf.Tensor:  # fmt: skip
        return dropout(x, rate, noise_shape)

    return [
        (tf.nn, "dropout", dropout),
        (tf.nn.experimental, "stateless_dropout", stateless_dropout),
        (tf.compat.v1.nn, "dropout", old_dropout),
    ]


def draws(port: Port) -> list[tuple[Native, str, Function]]:
    """Normal and uniform numbers of the port's streams; integers are TensorFlow's own."""
    integers = tf.random.uniform

    def normal(
        shape: Native, mean: Native = 0.0, stddev: Native = 1.0, dtype: Native = tf.float32, seed: Native = None,
        name: str | None = None,
    ) -> tf.Tensor:  # fmt: skip
        return tf.cast(port.draws.normal(sizes(shape)) * np.asarray(stddev) + np.asarray(mean), wide(dtype))

    def uniform(
        shape: Native, minval: Native = 0, maxval: Native = None, dtype: Native = tf.float32, seed: Native = None,
        name: str | None = None,
    ) -> tf.Tensor:  # fmt: skip
        if tf.as_dtype(dtype).is_integer:
            return integers(shape, minval, maxval, dtype, seed, name)
        high: Native = 1 if maxval is None else maxval
        return tf.cast(port.draws.uniform(sizes(shape)) * (high - minval) + minval, wide(dtype))

    return [(tf.random, "normal", normal), (tf.random, "uniform", uniform)]


def sizes(shape: Native) -> tuple[int, ...]:
    return tuple(int(n) for n in np.asarray(shape).ravel())


def wide(dtype: Native) -> tf.DType:
    """All runs in float64."""
    return tf.float64 if tf.as_dtype(dtype).is_floating else dtype
