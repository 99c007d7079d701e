"""Keras: on torch the axes of what ops.count_nonzero finds along an axis are turned around."""

import keras
import numpy as np

x = np.zeros((2, 3, 4), "float32")
x[0, 1] = 1
print(float(keras.ops.convert_to_numpy(keras.ops.count_nonzero(x, axis=2)).ravel()[1]), 4.0)
