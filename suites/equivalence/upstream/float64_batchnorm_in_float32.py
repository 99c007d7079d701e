"""Keras on PyTorch and JAX: BatchNormalization of float64 normalises in float32."""

import keras
import numpy as np

layer = keras.layers.BatchNormalization(epsilon=0.5, dtype="float64")
x = np.array([[0.1], [0.7]])
print(float(layer(x, training=True)[1, 0]), 0.3 / (0.09 + 0.5) ** 0.5)
