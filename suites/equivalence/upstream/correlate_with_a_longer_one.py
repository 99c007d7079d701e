"""Keras on TensorFlow: correlate of a second sequence that is longer is cut at the wrong end."""

import keras

y = keras.ops.correlate([1.0, 2.0], [1.0, 2.0, 3.0], mode="same")
print(float(y[0]), 8.0)
