"""A weight for each example, in PyTorch."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

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


def loss_fn(logits, y, w):
    return (w * F.cross_entropy(logits, y, reduction="none")).mean()


# Optimizer


def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.5)


# Training


def train_step(model, optimizer, x, y, w):
    loss = loss_fn(model(x), y, w)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train(model, x, y, sample_weight, epochs=20, batch_size=64):
    columns = (torch.tensor(column).split(batch_size) for column in (x, y, sample_weight))
    batches = list(zip(*columns, strict=True))
    optimizer = make_optimizer(model)
    model.train()
    history = []
    for _ in range(epochs):
        losses = [train_step(model, optimizer, *batch) for batch in batches]
        history.append(float(np.average(torch.stack(losses), weights=[len(x) for x, _, _ in batches])))
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
    trust = np.where(data.y == 8, 0.5, 1.0).astype(data.x.dtype)
    print("loss", train(model, data.x, data.y, trust)[-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(1) == data.y_test))
