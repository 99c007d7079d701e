"""Momentum (Polyak 1964), the rate inside the velocity, in TensorFlow ops."""

import tensorflow as tf

LEARNING_RATE, MOMENTUM = 0.02, 0.9


def init_slots(params):
    return {f"m/{name}": tf.Variable(tf.zeros_like(p)) for name, p in params.items() if p.trainable}


def update(params, slots, gradients):
    for name, g in gradients.items():
        g = tf.convert_to_tensor(g)  # of an embedding it is a slice for each occurrence
        m = slots[f"m/{name}"].assign(MOMENTUM * slots[f"m/{name}"] - LEARNING_RATE * g)
        params[name].assign_add(m)
