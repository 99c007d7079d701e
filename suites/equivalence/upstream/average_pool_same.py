"""Keras: on torch an average pool with SAME padding on one side counts the edge twice."""

import keras
import numpy as np

x = np.array([10.0, 20.0, 60.0, 90.0], "float32").reshape(1, 4, 1)
print(float(keras.ops.average_pool(x, 3, 2, "same")[0, 1, 0]), 75.0)
