"""Data read from the disk batch by batch, so that they may be larger than memory, in Keras."""

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


class Batches(keras.utils.PyDataset):
    def __init__(self, folder, batch_size):
        super().__init__()
        self.x, self.y = (np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in "xy")
        self.batch_size = batch_size

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, index):
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.x[part], self.y[part]


def train(model, folder, epochs=20, batch_size=64):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    return model.fit(Batches(folder, batch_size), epochs=epochs, shuffle=False, verbose=0).history["loss"]


# Prediction


def predict(model, x):
    return model.predict(x, verbose=0)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    for name, array in (("x", data.x), ("y", data.y)):
        np.save(f"{name}.npy", array)
    print("loss", train(model, ".")[-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(-1) == data.y_test))
