"""TensorFlow: elu takes exp(x) - 1, of which nothing is left where x is small."""

import math

import tensorflow as tf

print(float(tf.nn.elu(tf.constant(-1e-8))), math.expm1(-1e-8))
