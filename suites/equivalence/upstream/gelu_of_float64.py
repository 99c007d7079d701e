"""TensorFlow: the constants of gelu are rounded to float32 where x is float64."""

import math

import tensorflow as tf

print(float(tf.nn.gelu(tf.constant(1.5, tf.float64))), 0.75 * (1 + math.erf(1.5 / math.sqrt(2))))
