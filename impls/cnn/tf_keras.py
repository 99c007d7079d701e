"""Two convolutions with BatchNorm on handwritten digits, in Keras.

`tf.keras` is the package imported here; the same lines run on KERAS_BACKEND=tensorflow, torch and jax.
"""

import keras
import numpy as np
from keras import layers

# Model


def build(image=(8, 8, 1), filters=(16, 32), classes=10):
    first, second = filters
    return keras.Sequential(
        [
            keras.Input(image),
            layers.Conv2D(first, 3, padding="same", use_bias=False, name="conv1"),  # (B, H, W, first)
            layers.BatchNormalization(momentum=0.9, name="bn1"),
            layers.ReLU(name="relu1"),
            layers.MaxPooling2D(2, name="pool1"),  # (B, H/2, W/2, first)
            layers.Conv2D(second, 3, strides=2, padding="same", use_bias=False, name="conv2"),  # (B, H/4, W/4, second)
            layers.BatchNormalization(momentum=0.9, name="bn2"),
            layers.ReLU(name="relu2"),
            layers.Flatten(name="flatten"),  # (B, H/4 * W/4 * second)
            layers.Dense(classes, name="logits"),  # (B, classes)
        ]
    )


# Loss

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# Optimizer


def make_optimizer():
    rate = keras.optimizers.schedules.ExponentialDecay(0.05, decay_steps=100, decay_rate=0.8)
    return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)


# Training


def train(model, x, y, epochs=12, batch_size=64):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    return model.fit(x, y, batch_size, epochs, shuffle=False, verbose=0).history["loss"]


# Prediction


def predict(model, x):
    return model.predict(x, verbose=0)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digit_images"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(-1) == data.y_test))
