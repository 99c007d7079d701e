"""TensorFlow and JAX: the gradient of a norm at zero is NaN; PyTorch takes the subgradient 0."""

import os

import numpy as np

if os.environ["KERAS_BACKEND"] == "jax":
    import jax

    found = jax.grad(jax.numpy.linalg.norm)(np.zeros(2))[0]
else:
    import tensorflow as tf

    x = tf.Variable(np.zeros(2))
    with tf.GradientTape() as tape:
        norm = tf.norm(x)
    found = tape.gradient(norm, x)[0]
print(float(found), 0.0)
