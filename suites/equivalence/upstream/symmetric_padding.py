"""Keras: on torch ops.pad repeats the edge where symmetric padding is asked for."""

import keras
import numpy as np

print(float(keras.ops.pad(np.arange(5, dtype="float32"), [(2, 2)], mode="symmetric")[0]), 1.0)
