"""Keras on PyTorch: a Dense layer of float64 multiplies in float32."""

import keras
import numpy as np

layer = keras.layers.Dense(1, kernel_initializer="ones", dtype="float64")
print(float(layer(np.array([[0.1]], "float64"))[0, 0]), 0.1)
