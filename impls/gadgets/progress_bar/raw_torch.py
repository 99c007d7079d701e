"""A progress bar with loss and accuracy, in PyTorch."""

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


def accuracy(logits, y):
    return (logits.argmax(-1) == y).to(logits.dtype).mean()


# Optimizer


def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.5)


# Training


def train_step(model, optimizer, x, y):
    logits = model(x)
    loss = loss_fn(logits, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return torch.stack([loss.detach(), accuracy(logits, y)])


def train(model, x, y, epochs=20, batch_size=64):
    batches = list(zip(torch.tensor(x).split(batch_size), torch.tensor(y).split(batch_size), strict=True))
    optimizer = make_optimizer(model)
    model.train()
    history = []
    for epoch in range(epochs):
        total, seen = np.zeros(2), 0
        for x_batch, y_batch in batches:
            total += train_step(model, optimizer, x_batch, y_batch).numpy() * len(x_batch)
            seen += len(x_batch)
            loss, accurate = total / seen
            bar = "=" * (30 * seen // len(x))
            line = f"Epoch {epoch + 1}/{epochs} [{bar:30}] accuracy: {accurate:.4f} - loss: {loss:.4f}"
            print(f"\r{line}", end="", flush=True)
        print()
        history.append(float(loss))
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
    train(model, data.x, data.y)
    print("accuracy", np.mean(predict(model, data.x_test).argmax(1) == data.y_test))
