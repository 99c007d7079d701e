"""The trained model exported, and served without its program, in Keras.

A SavedModel: the file holds the computation with its weights.
"""

import keras
import numpy as np
import tensorflow as tf
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


def train(model, x, y, epochs=20, batch_size=64):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    return model.fit(x, y, batch_size, epochs, shuffle=False, verbose=0).history["loss"]


def export(model, path):
    model.export(path, verbose=False)


# Prediction


def predict(model, x):
    return model.predict(x, verbose=0)


def serve(x, path):
    served = tf.saved_model.load(path)
    return served.serve(x).numpy()


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    export(model, "digits_served")
    print("served", serve(data.x_test, "digits_served")[0])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(-1) == data.y_test))
