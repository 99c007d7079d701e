"""Two dense layers on Iris, with PyTorch's layers and torch.optim.

torch.optim.Adam adds its epsilon to the bias-corrected root; Keras's to the root before the correction.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# Model


def build(features=4, hidden=8):
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 1))


# Loss


def loss_fn(logits, y):
    return F.binary_cross_entropy_with_logits(logits, y)


# Optimizer


def make_optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-7, fused=True)


# Training


def train_step(model, optimizer, x, y):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def train(model, x, y, epochs=100, batch_size=32):
    device = next(model.parameters()).device
    xs, ys = (torch.as_tensor(array, device=device).split(batch_size) for array in (x, y))
    batches = list(zip(xs, ys, strict=True))
    optimizer = make_optimizer(model)
    model.train()
    history = []
    for _ in range(epochs):
        losses = [train_step(model, optimizer, *batch) for batch in batches]
        history.append(float(np.average(torch.stack(losses).cpu(), weights=[len(x) for x in xs])))
    return history


# Prediction


@torch.inference_mode()
def predict(model, x):
    model.eval()
    device = next(model.parameters()).device
    return model(torch.as_tensor(x, device=device)).cpu().numpy()


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["iris"]()
    model = build()
    print("losses", train(model, data.x, data.y)[::20])
    print("accuracy", np.mean((predict(model, data.x_test) > 0) == data.y_test))
