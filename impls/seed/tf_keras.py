"""Two dense layers on Iris, in Keras.

`tf.keras` is the package imported here; the same lines run on KERAS_BACKEND=tensorflow, torch and jax.
"""

import keras
import numpy as np
from keras import layers

# Model


def build(features=4, hidden=8):
    return keras.Sequential(
        [
            keras.Input((features,)),
            layers.Dense(hidden, activation="relu", name="hidden"),  # (B, hidden)
            layers.Dense(1, name="logits"),  # (B, 1)
        ]
    )


# Loss

loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

# Optimizer


def make_optimizer():
    return keras.optimizers.Adam(learning_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-7)


# Training


def train(model, x, y, epochs=100, batch_size=32):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    return model.fit(x, y, batch_size, epochs, shuffle=False, verbose=0).history["loss"]


# Prediction


def predict(model, x):
    return model.predict(x, verbose=0)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["iris"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", np.mean((predict(model, data.x_test) > 0) == data.y_test))
