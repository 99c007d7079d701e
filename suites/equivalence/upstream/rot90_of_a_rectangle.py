"""Keras on TensorFlow: a rectangle turned by half a turn keeps the wrong numbers."""

import keras

x = keras.ops.convert_to_tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
print(float(keras.ops.rot90(x, 2)[0, 0]), 5.0)
