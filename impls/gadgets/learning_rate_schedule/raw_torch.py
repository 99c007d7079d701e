"""A learning rate that halves every second epoch, in PyTorch.

torch.optim.SGD multiplies the whole velocity by the rate of the day, so a schedule that moves it would scale old
gradients anew. Here the rate multiplies the loss instead, and each gradient keeps the rate that it was taken at.
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


def loss_fn(logits, y):
    return F.cross_entropy(logits, y)


# Optimizer


def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.5)


def schedule(epoch):
    return 0.125 * 0.5 ** (epoch // 2)


# Training


def train_step(model, optimizer, x, y, rate):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    (rate * loss).backward()
    optimizer.step()
    return loss.detach()


def train(model, x, y, epochs=20, batch_size=64):
    batches = list(zip(torch.tensor(x).split(batch_size), torch.tensor(y).split(batch_size), strict=True))
    optimizer = make_optimizer(model)
    model.train()
    history = {"loss": [], "learning_rate": []}
    for epoch in range(epochs):
        rate = schedule(epoch)
        losses = [train_step(model, optimizer, *batch, rate) for batch in batches]
        history["learning_rate"].append(rate)
        history["loss"].append(float(np.average(torch.stack(losses), weights=[len(x) for x, _ in batches])))
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
    print("learning rates", train(model, data.x, data.y)["learning_rate"])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(1) == data.y_test))
