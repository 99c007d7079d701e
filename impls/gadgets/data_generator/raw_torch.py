"""Data read from the disk batch by batch, so that they may be larger than memory, in PyTorch."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

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


class Digits(Dataset):
    def __init__(self, folder):
        self.x, self.y = (np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in "xy")

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return torch.tensor(self.x[index]), torch.tensor(self.y[index])


def train(model, folder, epochs=20, batch_size=64):
    batches = DataLoader(Digits(folder), batch_size)
    optimizer = make_optimizer(model)
    model.train()
    history = []
    for _ in range(epochs):
        losses = [(train_step(model, optimizer, x, y), len(x)) for x, y in batches]
        values, counts = zip(*losses, strict=True)
        history.append(float(np.average(torch.stack(values), weights=counts)))
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
    for name, array in (("x", data.x), ("y", data.y)):
        np.save(f"{name}.npy", array)
    print("loss", train(model, ".")[-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(1) == data.y_test))
