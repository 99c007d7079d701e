"""Keras on PyTorch: BatchNormalization of data with a large mean; its variance is E[x^2] - E[x]^2, here negative."""

import keras
import numpy as np

x = (5000 + np.arange(8) / 8).astype("float32")[:, None]
y = keras.layers.BatchNormalization(epsilon=1e-3)(x, training=True)
print(float(y[0, 0].detach() if keras.backend.backend() == "torch" else y[0, 0]), -0.4375 / (0.08203125 + 1e-3) ** 0.5)
