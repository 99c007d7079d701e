"""What a user draws by TensorFlow itself: dropout is left out and told, other numbers are common to both sides."""

from __future__ import annotations

import contextlib

import numpy as np
import tensorflow as tf


@contextlib.contextmanager
def common(port):
    """`tf.nn.dropout` and the functions of `tf.random` are those of the port while a pass runs."""
    kept = [(place, name, getattr(place, name)) for place, name, _ in functions(port)]
    for place, name, function in functions(port):
        setattr(place, name, function)
    try:
        yield
    finally:
        for place, name, function in kept:
            setattr(place, name, function)


def functions(port):
    """(module, name, what takes its place)."""

    def dropout(x, rate, noise_shape=None, seed=None, name=None):
        port.dropped("elements" if noise_shape is None else "channels", float(rate), x, True)
        return tf.convert_to_tensor(x)

    def old_dropout(x, keep_prob=None, noise_shape=None, seed=None, name=None, rate=None):
        return dropout(x, 1 - keep_prob if rate is None else rate, noise_shape)

    def stateless_dropout(x, rate, seed, rng_alg="auto_select", noise_shape=None, name=None):
        return dropout(x, rate, noise_shape)

    def normal(shape, mean=0.0, stddev=1.0, dtype=tf.float32, seed=None, name=None):
        return tf.cast(port.draws.normal(sizes(shape)) * np.asarray(stddev) + np.asarray(mean), wide(dtype))

    def uniform(shape, minval=0, maxval=None, dtype=tf.float32, seed=None, name=None):
        if tf.as_dtype(dtype).is_integer:
            return drawn(shape, minval, maxval, dtype, seed, name)
        maxval = 1 if maxval is None else maxval
        return tf.cast(port.draws.uniform(sizes(shape)) * (maxval - minval) + minval, wide(dtype))

    drawn = tf.random.uniform
    return [
        (tf.nn, "dropout", dropout),
        (tf.nn.experimental, "stateless_dropout", stateless_dropout),
        (tf.compat.v1.nn, "dropout", old_dropout),
        (tf.random, "normal", normal),
        (tf.random, "uniform", uniform),
    ]


def sizes(shape):
    return tuple(int(n) for n in np.asarray(shape).ravel())


def wide(dtype):
    """All runs in float64."""
    return tf.float64 if tf.as_dtype(dtype).is_floating else dtype
