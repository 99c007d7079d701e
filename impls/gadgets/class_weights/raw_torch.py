"""Class weights, in PyTorch.

F.cross_entropy's own mean divides by the sum of the weights; this one divides by the number of examples.
"""

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


def loss_fn(logits, y, class_weight):
    return F.cross_entropy(logits, y, class_weight, reduction="sum") / len(y)


# Optimizer


def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.5)


# Training


def train_step(model, optimizer, x, y, class_weight):
    loss = loss_fn(model(x), y, class_weight)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train(model, x, y, class_weight, epochs=20, batch_size=64):
    batches = list(zip(torch.tensor(x).split(batch_size), torch.tensor(y).split(batch_size), strict=True))
    class_weight = torch.tensor(class_weight)
    optimizer = make_optimizer(model)
    model.train()
    history = []
    for _ in range(epochs):
        losses = [train_step(model, optimizer, *batch, class_weight) for batch in batches]
        history.append(float(np.average(torch.stack(losses), weights=[len(x) for x, _ in batches])))
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
    class_weight = (len(data.y) / (10 * np.bincount(data.y))).astype(data.x.dtype)
    print("loss", train(model, data.x, data.y, class_weight)[-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(1) == data.y_test))
