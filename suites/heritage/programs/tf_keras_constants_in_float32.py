"""tf-keras 2.21: Adam's first update of a float64 weight; its gradient is 1."""

import tensorflow as tf
from tf_keras.backend import set_floatx
from tf_keras.optimizers import Adam

set_floatx("float64")
weight = tf.Variable(1.0, dtype=tf.float64)
Adam(0.1, epsilon=1e-7).apply_gradients([(tf.constant(1.0, tf.float64), weight)])
update = 1.0 - float(weight)
epsilon = 1e-7 / 0.001**0.5  # beside the root of v, which is the root of 1 - beta_2
print("expected", 0.1 / (1 + epsilon), "found", update)
assert abs(update * (1 + epsilon) / 0.1 - 1) > 1e-10
