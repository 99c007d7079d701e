"""Adagrad (Duchi et al. 2011), epsilon inside the root, in TensorFlow ops."""

import tensorflow as tf

LEARNING_RATE, INITIAL_ACCUMULATOR, EPSILON = 0.01, 0.1, 1e-7


def init_slots(params):
    return {
        f"accumulator/{name}": tf.Variable(tf.fill(p.shape, tf.constant(INITIAL_ACCUMULATOR, p.dtype)))
        for name, p in params.items()
        if p.trainable
    }


def update(params, slots, gradients):
    for name, g in gradients.items():
        g = tf.convert_to_tensor(g)  # of an embedding it is a slice for each occurrence
        a = slots[f"accumulator/{name}"].assign_add(g**2)
        params[name].assign_sub(LEARNING_RATE * g / tf.sqrt(a + EPSILON))
