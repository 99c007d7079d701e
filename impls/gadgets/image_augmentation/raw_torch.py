"""Images shifted and mirrored at random, in other ways in each epoch, in PyTorch."""

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
    return torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.5)


# Training


def draw(epoch, batch, count):
    rng = np.random.default_rng((epoch, batch))
    down, right = rng.integers(-1, 2, (2, count, 1))
    rows, columns = (np.arange(8) - down) % 8, (np.arange(8) - right) % 8  # (B, 8) each
    mirrored = rng.random((count, 1)) < 0.5
    return rows, np.where(mirrored, columns[:, ::-1], columns)


def augment(x, epoch, batch):
    rows, columns = (torch.tensor(index) for index in draw(epoch, batch, len(x)))
    images = x.unflatten(1, (8, 8))  # (B, 64) -> (B, 8, 8)
    return images[torch.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]].flatten(1)  # (B, 64)


def train_step(model, optimizer, x, y):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train(model, x, y, epochs=20, batch_size=64):
    batches = list(zip(torch.tensor(x).split(batch_size), torch.tensor(y).split(batch_size), strict=True))
    optimizer = make_optimizer(model)
    model.train()
    history = []
    for epoch in range(epochs):
        augmented = [(augment(x, epoch, i), y) for i, (x, y) in enumerate(batches)]
        losses = [train_step(model, optimizer, *batch) for batch in augmented]
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
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(1) == data.y_test))
