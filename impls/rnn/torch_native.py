"""An LSTM that predicts the next character, with PyTorch's layers and torch.optim.

torch.optim.RMSprop has its epsilon outside the root, torch's clipping adds 1e-6, and nn.LSTM trains two biases.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# Model


class RNN(nn.Module):
    def __init__(self, vocabulary, embed, units):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embed)
        self.lstm = nn.LSTM(embed, units, batch_first=True)
        self.logits = nn.Linear(units, vocabulary)

    def forward(self, ids):
        x = self.embedding(ids)  # (B, T) -> (B, T, E)
        x, _ = self.lstm(x)  # (B, T, H)
        return self.logits(x)  # (B, T, V)


def build(vocabulary=97, embed=32, units=64):
    return RNN(vocabulary, embed, units)


# Loss


def loss_fn(logits, y):
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())  # (B * T, V), (B * T,)


# Optimizer


def make_optimizer(model):
    return torch.optim.RMSprop(model.parameters(), lr=0.01, alpha=0.9, eps=1e-7, foreach=True)


# Training


def train_step(model, optimizer, x, y):
    loss = loss_fn(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
    optimizer.step()
    return loss.detach()


def train(model, x, y, epochs=3, batch_size=32):
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

    data = DATASETS["python_docs_32"]()
    model = build()
    print("losses", train(model, data.x, data.y))
    logits, y = (torch.as_tensor(array) for array in (predict(model, data.x_test), data.y_test))
    print("held-out cross-entropy", loss_fn(logits, y).item(), "nats per character")
