"""TensorFlow 1.15: Adam's first update of a float64 weight; its gradient is 1."""

import tensorflow as tf

weight = tf.Variable(1.0, dtype=tf.float64)
step = tf.train.AdamOptimizer(0.1, epsilon=1e-7).minimize(weight)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(step)
    update = 1.0 - session.run(weight)
print("expected 0.1 to 1e-8 (epsilon), found", update)
assert 1e-8 < abs(update / 0.1 - 1) < 1e-4
