"""A metric of one's own, the probability given to the right class, in PyTorch."""

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


def confidence(logits, y):
    return logits.softmax(-1).gather(-1, y[:, None]).mean()


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
    return torch.stack([loss.detach(), confidence(logits.detach(), y)])


def train(model, x, y, epochs=20, batch_size=64):
    batches = list(zip(torch.tensor(x).split(batch_size), torch.tensor(y).split(batch_size), strict=True))
    optimizer = make_optimizer(model)
    model.train()
    history = {"loss": [], "confidence": []}
    for _ in range(epochs):
        values = torch.stack([train_step(model, optimizer, *batch) for batch in batches])
        means = np.average(values, axis=0, weights=[len(x) for x, _ in batches])
        for name, mean in zip(history, means, strict=True):
            history[name].append(float(mean))
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
    print("confidence", train(model, data.x, data.y)["confidence"][-1])
    print("accuracy", np.mean(predict(model, data.x_test).argmax(1) == data.y_test))
