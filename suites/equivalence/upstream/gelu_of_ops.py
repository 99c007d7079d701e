"""Keras: keras.ops.gelu is the tanh form, keras.activations.gelu and those of the engines are the erf form."""

import math

import keras

print(float(keras.ops.gelu(1.0)), (1 + math.erf(0.5**0.5)) / 2)
