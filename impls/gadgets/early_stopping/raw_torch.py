"""Early stopping that restores the best weights, in PyTorch."""

import copy

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


def train_step(model, optimizer, x, y):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


@torch.inference_mode()
def evaluate(model, x, y):
    model.eval()
    return float(loss_fn(model(x), y))


def train(model, x, y, x_val, y_val, epochs=100, batch_size=64, patience=3):
    batches = list(zip(torch.tensor(x).split(batch_size), torch.tensor(y).split(batch_size), strict=True))
    x_val, y_val = torch.tensor(x_val), torch.tensor(y_val)
    optimizer = make_optimizer(model)
    history = {"loss": [], "val_loss": []}
    best, waited = float("inf"), 0
    for _ in range(epochs):
        model.train()
        losses = [train_step(model, optimizer, *batch) for batch in batches]
        history["loss"].append(float(np.average(torch.stack(losses), weights=[len(x) for x, _ in batches])))
        history["val_loss"].append(evaluate(model, x_val, y_val))
        if history["val_loss"][-1] < best:
            best, waited = history["val_loss"][-1], 0
            best_weights = copy.deepcopy(model.state_dict())
        else:
            waited += 1
            if waited >= patience:
                break
    model.load_state_dict(best_weights)
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
    print("epochs", len(train(model, data.x, data.y, data.x_test, data.y_test)["loss"]))
    print("accuracy", np.mean(predict(model, data.x_test).argmax(1) == data.y_test))
