"""Adagrad (Duchi et al. 2011), epsilon inside the root, in Keras."""

import keras


def make_optimizer():
    return keras.optimizers.Adagrad(learning_rate=0.01, initial_accumulator_value=0.1, epsilon=1e-7)
