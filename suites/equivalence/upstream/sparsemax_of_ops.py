"""Keras: keras.ops.sparsemax sums the cumulative sums of the support, so that its results don't add up to one."""

import keras
import numpy as np

print(float(keras.ops.sparsemax(np.array([[1.0, 0.5]], "float32"))[0, 0]), 0.75)
