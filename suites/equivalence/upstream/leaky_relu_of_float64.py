"""TensorFlow: the slope of leaky_relu is rounded to float32 where x is float64."""

import tensorflow as tf

print(float(tf.nn.leaky_relu(tf.constant(-1.0, tf.float64), 0.2)), -0.2)
