"""tf-keras 2.21: two updates of a float64 weight by SGD with momentum 0.9; its gradients are 1 and 0."""

import tensorflow as tf
from tf_keras.backend import set_floatx
from tf_keras.optimizers import SGD

set_floatx("float64")
weight, optimizer = tf.Variable(0.0, dtype=tf.float64), SGD(1.0, momentum=0.9)
optimizer.apply_gradients([(tf.constant(1.0, tf.float64), weight)])
before = float(weight)
optimizer.apply_gradients([(tf.constant(0.0, tf.float64), weight)])
found = before - float(weight)
print("expected 0.9, found", found)
assert 1e-9 < abs(found - 0.9) < 1e-7
