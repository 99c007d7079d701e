"""What TensorFlow has no float64 kernel for, by its formula."""

from __future__ import annotations

import contextlib

import numpy as np
import tensorflow as tf

PLACES = (tf.nn, tf.compat.v1.nn)
NAMES = ("local_response_normalization", "lrn")


@contextlib.contextmanager
def with_formulas():
    """Local response normalisation takes float64 in here; float32 goes where it went."""
    own = tf.nn.local_response_normalization

    def normalise(input, depth_radius=5, bias=1, alpha=1, beta=0.5, name=None):
        x = tf.convert_to_tensor(input)
        if x.dtype != tf.float64:
            return own(x, depth_radius, bias, alpha, beta, name)
        return x / tf.pow(bias + alpha * tf.matmul(x * x, near(x.shape[-1], depth_radius)), beta)

    kept = [(place, known, getattr(place, known)) for place in PLACES for known in NAMES if hasattr(place, known)]
    for place, known, _ in kept:
        setattr(place, known, normalise)
    try:
        yield
    finally:
        for place, known, function in kept:
            setattr(place, known, function)


def near(channels, radius):
    """(C, C): 1 where two channels are at most `radius` apart."""
    at = np.arange(channels)
    return tf.constant((np.abs(at[:, None] - at) <= radius).astype(np.float64))
