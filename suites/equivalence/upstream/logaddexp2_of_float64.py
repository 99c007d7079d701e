"""Keras on TensorFlow: logaddexp2 of float64 takes the logarithm of 2 in float32."""

import keras
import numpy as np

print(float(keras.ops.logaddexp2(np.zeros(1), np.zeros(1))[0]), 1.0)
