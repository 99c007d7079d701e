"""Trained by several processes, each with its share of every batch, in Keras on JAX.

Keras 3 fails under `tf.distribute.MultiWorkerMirroredStrategy` and takes several processes on JAX only. Each has
`KERAS_BACKEND=jax KERAS_DISTRIBUTION_JOB_ADDRESSES=host:port,host:port KERAS_DISTRIBUTION_NUM_PROCESSES=2` and its own
`KERAS_DISTRIBUTION_PROCESS_ID` in its environment; the shares have to be of one size.
"""

import jax
import keras
import numpy as np
from keras import layers

# Model

keras.distribution.initialize()
keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))


def build(features=64, hidden=(128, 64), classes=10):
    keras.utils.set_random_seed(0)
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
    rank, processes = jax.process_index(), jax.process_count()
    x, y, batch_size = x[rank::processes], y[rank::processes], batch_size // processes
    model.compile(optimizer=make_optimizer(), loss=loss_fn)
    return model.fit(x, y, batch_size, epochs, shuffle=False, verbose=0).history["loss"]


# Prediction


def predict(model, x):
    return np.array(model(x))


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(-1) == data.y_test))
