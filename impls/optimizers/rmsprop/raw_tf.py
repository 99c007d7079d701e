"""RMSprop (Tieleman and Hinton 2012), epsilon inside the root, in TensorFlow ops."""

import tensorflow as tf

LEARNING_RATE, RHO, EPSILON = 0.001, 0.9, 1e-7


def init_slots(params):
    return {f"v/{name}": tf.Variable(tf.zeros_like(p)) for name, p in params.items() if p.trainable}


def update(params, slots, gradients):
    for name, g in gradients.items():
        g = tf.convert_to_tensor(g)  # of an embedding it is a slice for each occurrence
        v = slots[f"v/{name}"].assign(RHO * slots[f"v/{name}"] + (1 - RHO) * g**2)
        params[name].assign_sub(LEARNING_RATE * g / tf.sqrt(v + EPSILON))
