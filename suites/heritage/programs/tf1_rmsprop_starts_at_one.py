"""TensorFlow 1.15: tf.train.RMSPropOptimizer's mean square before the first update."""

import tensorflow as tf

weight = tf.Variable(1.0)
optimizer = tf.train.RMSPropOptimizer(0.1)
step = optimizer.minimize(3 * weight)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    found = session.run(optimizer.get_slot(weight, "rms"))
print("expected 0, found", found)
assert found == 1
