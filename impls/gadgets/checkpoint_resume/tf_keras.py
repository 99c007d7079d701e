"""A checkpoint each epoch, from which a killed training goes on, in Keras.

Keras writes over its files in place: killed while it does so, it ends with a JSONDecodeError where it should go on.
"""

import keras
import numpy as np
from keras import layers

# Model


def build(features=64, hidden=(128, 64), classes=10):
    first, second = hidden
    return keras.Sequential(
        [
            keras.Input((features,)),
            layers.Dense(first, activation="relu", name="hidden1"),  # (B, first)
            layers.Dense(second, activation="relu", name="hidden2"),  # (B, second)
            layers.Dense(classes, name="logits"),  # (B, classes)
        ]
    )


# Loss

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# Optimizer


def make_optimizer():
    return keras.optimizers.SGD(learning_rate=0.125, momentum=0.5)


# Training


def train(model, x, y, folder, epochs=20, batch_size=64):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    callbacks = [keras.callbacks.BackupAndRestore(folder)]
    return model.fit(x, y, batch_size, epochs, shuffle=False, verbose=0, callbacks=callbacks).history["loss"]


# Prediction


def predict(model, x):
    return model.predict(x, verbose=0)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    print("losses of this run", train(model, data.x, data.y, "checkpoints"))
    print("accuracy", np.mean(predict(model, data.x_test).argmax(-1) == data.y_test))
