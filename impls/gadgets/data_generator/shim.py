"""Data read from the disk batch by batch, so that they may be larger than memory, with Triptych's shim."""

import numpy as np

from impls import shim

# Model


def build(features=64, hidden=(128, 64), classes=10):
    layers = [
        shim.Dense(hidden[0], activation="relu", name="hidden1"),
        shim.Dense(hidden[1], activation="relu", name="hidden2"),
        shim.Dense(classes, name="logits"),
    ]
    return shim.Sequential(layers, inputs=(features,))


# Loss

LOSS = "softmax_cross_entropy"

# Optimizer

OPTIMIZER = shim.SGD(learning_rate=0.125, momentum=0.5)

# Training


class Batches:
    def __init__(self, folder, batch_size):
        self.x, self.y = (np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in "xy")
        self.batch_size = batch_size

    def __iter__(self):
        for i in range(0, len(self.x), self.batch_size):
            yield self.x[i : i + self.batch_size], self.y[i : i + self.batch_size]


def train(model, folder, epochs=20, batch_size=64):
    model.compile(optimizer=OPTIMIZER, loss=LOSS)
    return model.fit(Batches(folder, batch_size), epochs=epochs)["loss"]


# Prediction


def predict(model, x):
    return model.predict(x)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    for name, array in (("x", data.x), ("y", data.y)):
        np.save(f"{name}.npy", array)
    print("loss", train(model, ".")[-1])
    print("accuracy", (predict(model, data.x_test).argmax(-1) == data.y_test).mean())
