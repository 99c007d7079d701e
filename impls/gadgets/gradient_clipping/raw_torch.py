"""Gradients clipped to a global norm of 1, in PyTorch.

clip_grad_norm_ adds 1e-6 to the norm that it divides by; this one does not.
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
    return torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.5)


def clip(model, limit=1.0):
    gradients = [p.grad for p in model.parameters()]
    norm = nn.utils.get_total_norm(gradients)
    torch._foreach_mul_(gradients, (limit / norm).clamp(max=1))


# Training


def train_step(model, optimizer, x, y):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    clip(model)
    optimizer.step()
    return loss.detach()


def train(model, x, y, epochs=20, batch_size=64):
    batches = list(zip(torch.tensor(x).split(batch_size), torch.tensor(y).split(batch_size), strict=True))
    optimizer = make_optimizer(model)
    model.train()
    history = []
    for _ in range(epochs):
        losses = [train_step(model, optimizer, *batch) for batch in batches]
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
