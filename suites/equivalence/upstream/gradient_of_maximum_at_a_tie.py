"""TensorFlow: at a tie the whole gradient of maximum goes to its first argument; PyTorch and JAX share it."""

import tensorflow as tf

x, y = tf.Variable(1.0), tf.Variable(1.0)
with tf.GradientTape() as tape:
    largest = tf.maximum(x, y)
print(float(tape.gradient(largest, x)), 0.5)
