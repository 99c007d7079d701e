"""TensorFlow: the gradient of cumprod at a zero is 0, where it is 1 + 2 + 2 * 3."""

import tensorflow as tf

x = tf.constant([0.0, 2.0, 3.0])
with tf.GradientTape() as tape:
    tape.watch(x)
    y = tf.math.cumprod(x)
print(float(tape.gradient(y, x)[0]), 9.0)
