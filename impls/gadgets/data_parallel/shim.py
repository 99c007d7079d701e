"""Trained by several processes, each with its share of every batch, with Triptych's shim.

The gradients are averaged by the backend's own means, here PyTorch's.
`torchrun --nproc-per-node 2 -m impls.gadgets.data_parallel.shim`; the shares have to be of one size.
"""

import torch
from torch import distributed

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


class Averaged(shim.SGD):
    def apply(self, B, weights, grads, slots, rates):
        for g in grads.values():
            distributed.all_reduce(g.div_(distributed.get_world_size()))
        return super().apply(B, weights, grads, slots, rates)


OPTIMIZER = Averaged(learning_rate=0.125, momentum=0.5)

# Training


def train(model, x, y, epochs=20, batch_size=64):
    distributed.init_process_group("gloo")
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    model.compile(optimizer=OPTIMIZER, loss=LOSS)
    x, y, batch_size = x[rank::processes], y[rank::processes], batch_size // processes
    losses = model.fit(x, y, epochs=epochs, batch_size=batch_size, shuffle=False)["loss"]
    losses = torch.tensor(losses, dtype=torch.float64) / processes
    distributed.all_reduce(losses)
    distributed.destroy_process_group()
    return losses.tolist()


# Prediction


def predict(model, x):
    return model.predict(x)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", (predict(model, data.x_test).argmax(-1) == data.y_test).mean())
