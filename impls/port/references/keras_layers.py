"""SAME and VALID of Keras's convolutions, transposed ones and pools."""

from __future__ import annotations

import itertools

import keras
import numpy as np

from impls.port.references import SIZES, Arrays

keras.config.set_floatx("float64")

WINDOWS_AND_STRIDES = ((3, 2), (4, 2), (2, 2), (2, 3), (5, 2))


def compute(rng: np.random.Generator) -> Arrays:
    found: Arrays = {}
    for rank, size in SIZES.items():
        x = rng.normal(size=(3, *size, 4))
        found[f"{rank}/x"] = x
        found.update((f"{rank}/{name}", value) for name, value in convolutions(rank, x).items())
        found.update((f"{rank}/{name}", value) for name, value in transposed_convolutions(rank, x).items())
        if rank < 3:
            pool = getattr(keras.layers, f"AveragePooling{rank}D")
            found[f"{rank}/avgpool same"] = np.asarray(pool(3, 2, padding="same")(x))
    return {f"layers/{name}": value for name, value in found.items()}


def convolutions(rank: int, x: np.ndarray) -> Arrays:
    conv = getattr(keras.layers, f"Conv{rank}D")
    found: Arrays = {}
    for stride in (1, 2, 3):
        layer = conv(6, 3, strides=stride, padding="same", use_bias=False)
        found[f"conv same {stride}"] = np.asarray(layer(x))
        found[f"conv same {stride}/kernel"] = np.asarray(layer.kernel)
    return found


def transposed_convolutions(rank: int, x: np.ndarray) -> Arrays:
    up = getattr(keras.layers, f"Conv{rank}DTranspose")
    found: Arrays = {}
    for padding, (window, stride) in itertools.product(("same", "valid"), WINDOWS_AND_STRIDES):
        layer = up(5, window, strides=stride, padding=padding, use_bias=False)
        name = f"up {padding} {window} {stride}"
        found[name] = np.asarray(layer(x))
        found[f"{name}/kernel"] = np.asarray(layer.kernel)
    return found
