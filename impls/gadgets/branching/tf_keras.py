"""A model of two branches that are joined again, in Keras."""

import keras
import numpy as np
from keras import layers

# Model


def build(features=64, hidden=(128, 64), classes=10):
    first, second = hidden
    inputs = keras.Input((features,))
    x = layers.Dense(first, activation="relu", name="hidden1")(inputs)  # (B, first)
    left = layers.Dense(second, activation="relu", name="left")(x)  # (B, second)
    right = layers.Dense(second, activation="tanh", name="right")(x)  # (B, second)
    x = layers.Concatenate()([left, right])  # (B, 2 second)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x))  # (B, classes)


# Loss

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# Optimizer


def make_optimizer():
    return keras.optimizers.SGD(learning_rate=0.125, momentum=0.5)


# Training


def train(model, x, y, epochs=20, batch_size=64):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    return model.fit(x, y, batch_size, epochs, shuffle=False, verbose=0).history["loss"]


# Prediction


def predict(model, x):
    return model.predict(x, verbose=0)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(-1) == data.y_test))
