"""TensorFlow: a NaN in between keeps the other numbers from being sorted."""

import tensorflow as tf

print(float(tf.sort(tf.constant([2.0, float("nan"), 1.0, 3.0]))[2]), 3.0)
