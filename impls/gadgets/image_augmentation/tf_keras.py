"""Images shifted and mirrored at random, in other ways in each epoch, in Keras.

Keras reads batches before the first epoch begins, to learn their shapes, so the epoch is counted by a callback.
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


class Augmented(keras.utils.PyDataset):
    def __init__(self, x, y, batch_size):
        super().__init__()
        self.x, self.y, self.batch_size, self.epoch = x, y, batch_size, 0

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, index):
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return augment(self.x[part], self.epoch, index), self.y[part]


def train(model, x, y, epochs=20, batch_size=64):
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    batches = Augmented(x, y, batch_size)
    count = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(batches, "epoch", epoch))
    return model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=[count]).history["loss"]


# Prediction


def predict(model, x):
    return model.predict(x, verbose=0)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(-1) == data.y_test))
