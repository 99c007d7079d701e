"""RMSprop (Tieleman and Hinton 2012), epsilon inside the root, in Keras."""

import keras


def make_optimizer():
    return keras.optimizers.RMSprop(learning_rate=0.001, rho=0.9, epsilon=1e-7)
