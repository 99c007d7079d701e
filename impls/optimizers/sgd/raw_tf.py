"""Gradient descent, in TensorFlow ops."""

import tensorflow as tf

LEARNING_RATE = 0.05


def init_slots(params):
    return {}


def update(params, slots, gradients):
    for name, g in gradients.items():
        g = tf.convert_to_tensor(g)  # of an embedding it is a slice for each occurrence
        params[name].assign_sub(LEARNING_RATE * g)
