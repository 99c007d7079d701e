"""Trained by several processes, each with its share of every batch, in PyTorch.

`torchrun --nproc-per-node 2 -m impls.gadgets.data_parallel.raw_torch`; the shares have to be of one size.
"""

import numpy as np
import torch
from torch import distributed, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

# Model


def build(features=64, hidden=(128, 64), classes=10):
    first, second = hidden
    return nn.Sequential(
        nn.Linear(features, first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, classes),
    )


# Loss


def loss_fn(logits, y):
    return F.cross_entropy(logits, y)


# Optimizer


def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.5)


# Training


def train_step(model, optimizer, x, y):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train(model, x, y, epochs=20, batch_size=64):
    distributed.init_process_group("gloo")
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    x, y, batch_size = x[rank::processes], y[rank::processes], batch_size // processes
    model = DistributedDataParallel(model)
    batches = list(zip(torch.tensor(x).split(batch_size), torch.tensor(y).split(batch_size), strict=True))
    optimizer = make_optimizer(model)
    model.train()
    history = []
    for _ in range(epochs):
        losses = torch.stack([train_step(model, optimizer, *batch) for batch in batches]) / processes
        distributed.all_reduce(losses)
        history.append(float(np.average(losses, weights=[len(x) for x, _ in batches])))
    distributed.destroy_process_group()
    return history


# Prediction


@torch.inference_mode()
def predict(model, x):
    model.eval()
    return model(torch.tensor(x)).numpy()


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(1) == data.y_test))
