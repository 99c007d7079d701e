"""The port of a.py: the optimizer is written out."""

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


class AdamW:
    def __init__(self, model):
        self.parameters = dict(model.named_parameters())
        self.m = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.v = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.t = 0

    def zero_grad(self):
        for p in self.parameters.values():
            p.grad = None

    @torch.no_grad()
    def step(self):
        self.t += 1
        scale = 0.5 ** (self.t - 1)
        for name, p in self.parameters.items():
            decay = 0.1 if p.ndim > 1 else 0.0
            rate = scale * (0.005 if name == "head.weight" else 0.02)
            g = p.grad
            p.mul_(1 - rate * decay)
            m, v = self.m[name], self.v[name]
            m.lerp_(g, 1 - 0.9)
            v.lerp_(g * g, 1 - 0.999)
            p.sub_(rate * (m / (1 - 0.9**self.t)) / ((v / (1 - 0.999**self.t)).sqrt() + 1e-6))


def make_optimizer(model):
    return AdamW(model)


def train_step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss_fn(model(x), y).backward()
    optimizer.step()
