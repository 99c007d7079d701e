"""Keras on JAX: tanh of a float64 layer is computed in float32."""

import keras
import numpy as np

layer = keras.layers.Activation("tanh", dtype="float64")
print(float(layer(np.array([0.1]))[0]), float(np.tanh(0.1)))
