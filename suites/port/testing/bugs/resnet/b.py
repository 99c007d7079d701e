"""The port of a.py to PyTorch."""

import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.BatchNorm2d):
    """With the biased running variance of Keras."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


def norm(channels):
    return Norm(channels, eps=1e-3, momentum=0.1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 5, stride=2, bias=False)
        self.stem_norm = norm(6)
        self.reduce = nn.Conv2d(6, 8, 1, stride=1, bias=False)
        self.reduce_norm = norm(8)
        self.spatial = nn.Conv2d(8, 8, 3, stride=2, bias=False)
        self.spatial_norm = norm(8)
        self.shortcut = nn.Conv2d(6, 8, 1, stride=2, bias=False)
        self.shortcut_norm = norm(8)
        self.logits = nn.Linear(8, 4)

    def forward(self, x):
        x = x / 127.5 - 1
        x = F.relu(self.stem_norm(self.stem(F.pad(x, (1, 2, 1, 2)))))
        x = F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3, 2)
        h = F.relu(self.reduce_norm(self.reduce(x)))
        h = self.spatial_norm(self.spatial(F.pad(h, (0, 1, 0, 1))))
        x = F.relu(self.shortcut_norm(self.shortcut(x)) + h)
        x = x.mean((2, 3))
        return self.logits(x)


def build():
    return Net()


def loss_fn(logits, y):
    return F.cross_entropy(logits, y)


def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.05)
