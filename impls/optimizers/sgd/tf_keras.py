"""Gradient descent, in Keras."""

import keras


def make_optimizer():
    return keras.optimizers.SGD(learning_rate=0.05)
