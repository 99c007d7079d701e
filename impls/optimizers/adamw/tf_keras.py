"""AdamW (Loshchilov and Hutter 2019): the decay is taken from the weight before Adam's update, in Keras."""

import keras


def make_optimizer():
    return keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.004, beta_1=0.9, beta_2=0.999, epsilon=1e-7)
