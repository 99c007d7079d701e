"""Images shifted and mirrored at random, in other ways in each epoch, with Triptych's shim."""

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


def draw(epoch, batch, count):
    rng = np.random.default_rng((epoch, batch))
    down, right = rng.integers(-1, 2, (2, count, 1))
    rows, columns = (np.arange(8) - down) % 8, (np.arange(8) - right) % 8  # (B, 8) each
    mirrored = rng.random((count, 1)) < 0.5
    return rows, np.where(mirrored, columns[:, ::-1], columns)


def augment(x, epoch, batch):
    rows, columns = draw(epoch, batch, len(x))
    images = x.reshape(-1, 8, 8)  # (B, 64) -> (B, 8, 8)
    return images[np.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]].reshape(x.shape)  # (B, 64)


class Augmented:
    def __init__(self, x, y, batch_size):
        self.x, self.y, self.batch_size, self.epoch = x, y, batch_size, 0

    def __iter__(self):
        for index, i in enumerate(range(0, len(self.x), self.batch_size)):
            part = slice(i, i + self.batch_size)
            yield augment(self.x[part], self.epoch, index), self.y[part]
        self.epoch += 1


def train(model, x, y, epochs=20, batch_size=64):
    model.compile(optimizer=OPTIMIZER, loss=LOSS)
    return model.fit(Augmented(x, y, batch_size), epochs=epochs)["loss"]


# Prediction


def predict(model, x):
    return model.predict(x)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", (predict(model, data.x_test).argmax(-1) == data.y_test).mean())
