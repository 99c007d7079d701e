"""Nesterov's momentum as Sutskever et al. (2013) write it, the rate inside the velocity, in Keras."""

import keras


def make_optimizer():
    return keras.optimizers.SGD(learning_rate=0.02, momentum=0.9, nesterov=True)
