"""TensorFlow: erfinv of a small number is 0, where it is half the root of pi times that number."""

import math

import tensorflow as tf

print(float(tf.math.erfinv(tf.constant(1e-8))), math.sqrt(math.pi) / 2 * 1e-8)
