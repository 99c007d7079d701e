"""What TensorFlow has no float64 kernel for, by its formula."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from impls.replacing import replaced

if TYPE_CHECKING:
    from impls.port.annotations import Native

PLACES = (tf.nn, tf.compat.v1.nn)
NAMES = ("local_response_normalization", "lrn")


def with_formulas() -> contextlib.AbstractContextManager[None]:
    """Local response normalisation takes float64 in here; float32 goes where it went."""
    own = tf.nn.local_response_normalization

    def normalise(
        input: Native,
        depth_radius: int = 5,
        bias: float = 1,
        alpha: float = 1,
        beta: float = 0.5,
        name: str | None = None,
    ) -> tf.Tensor:
        x = tf.convert_to_tensor(input)
        if x.dtype != tf.float64:
            return own(x, depth_radius, bias, alpha, beta, name)
        return x / tf.pow(bias + alpha * tf.matmul(x * x, near(x.shape[-1], depth_radius)), beta)

    return replaced([(place, known, normalise) for place in PLACES for known in NAMES if hasattr(place, known)])


def near(channels: int, radius: int) -> tf.Tensor:
    """(C, C): 1 where two channels are at most `radius` apart."""
    at = np.arange(channels)
    return tf.constant((np.abs(at[:, None] - at) <= radius).astype(np.float64))
