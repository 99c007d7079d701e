"""TensorFlow 1.15: two updates of MomentumOptimizer, whose rate goes from 1 to 0; the gradient is 1."""

import tensorflow as tf

weight, rate = tf.Variable(0.0), tf.placeholder(tf.float32, ())
step = tf.train.MomentumOptimizer(rate, momentum=0.5).minimize(weight)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(step, {rate: 1.0})
    session.run(step, {rate: 0.0})
    found = session.run(weight)
print("with the rate inside the velocity -1.5, found", found)
assert found == -1.0
