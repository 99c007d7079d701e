"""A small CNN in Keras."""

import keras
from keras import layers


def build():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, padding="same", name="conv1"),
            layers.BatchNormalization(momentum=0.9, name="bn"),
            layers.ReLU(),
            layers.Conv2D(12, 3, strides=2, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, name="logits"),
        ]
    )


loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_optimizer():
    return keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)
