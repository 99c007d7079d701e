"""A small network and an optimizer with groups: no decay of biases and norms, a slower head, a rate that falls."""

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(6, 10)
        self.norm = nn.LayerNorm(10)
        self.head = nn.Linear(10, 4)

    def forward(self, x):
        return self.head(self.norm(F.gelu(self.hidden(x))))


def build():
    return Net()


def loss_fn(logits, y):
    return F.cross_entropy(logits, y)


def make_optimizer(model):
    kernels, head, rest = [model.hidden.weight], [model.head.weight], []
    rest = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": kernels, "weight_decay": 0.1},
        {"params": head, "weight_decay": 0.1, "lr": 0.005},
        {"params": rest, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.02, eps=1e-6)
    optimizer.schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    return optimizer


def train_step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss_fn(model(x), y).backward()
    optimizer.step()
    optimizer.schedule.step()
