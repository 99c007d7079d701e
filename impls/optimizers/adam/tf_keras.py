"""Adam (Kingma and Ba 2015, end of section 2): epsilon-hat beside the uncorrected root, in Keras."""

import keras


def make_optimizer():
    return keras.optimizers.Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7)
