"""Adam (Kingma and Ba 2015, end of section 2): epsilon-hat beside the uncorrected root, in TensorFlow ops."""

import tensorflow as tf

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 0.001, 0.9, 0.999, 1e-7


def init_slots(params):
    weights = {name: p for name, p in params.items() if p.trainable}
    slots = {f"{slot}/{name}": tf.Variable(tf.zeros_like(p)) for slot in "mv" for name, p in weights.items()}
    return {"step": tf.Variable(0, dtype=tf.int64), **slots}


def update(params, slots, gradients):
    t = tf.cast(slots["step"].assign_add(1), next(iter(params.values())).dtype)
    alpha = LEARNING_RATE * tf.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
    for name, g in gradients.items():
        g = tf.convert_to_tensor(g)  # of an embedding it is a slice for each occurrence
        m = slots[f"m/{name}"].assign(BETA_1 * slots[f"m/{name}"] + (1 - BETA_1) * g)
        v = slots[f"v/{name}"].assign(BETA_2 * slots[f"v/{name}"] + (1 - BETA_2) * g**2)
        params[name].assign_sub(alpha * m / (tf.sqrt(v) + EPSILON))
