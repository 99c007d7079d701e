"""TensorFlow: conv3d with SAME padding and a stride above the window takes its places from the second number on."""

import tensorflow as tf

x = tf.reshape(tf.range(1.0, 5.0, dtype=tf.float64), (1, 1, 4, 1, 1))
y = tf.nn.conv3d(x, tf.ones((1, 1, 1, 1, 1), tf.float64), (1, 1, 4, 1, 1), "SAME")
print(float(tf.squeeze(y)), 1.0)
