"""Keras: on torch ops.geomspace of one number is not a number."""

import keras

print(float(keras.ops.geomspace(2.0, 8.0, 1)[0]), 2.0)
