"""The port of a.py to PyTorch."""

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, channels):
        super().__init__()
        self.conv = nn.Conv2d(inputs, channels, 3, padding=1)
        self.norm = nn.GroupNorm(2, channels, eps=1e-5)

    def forward(self, x):
        return F.silu(self.norm(self.conv(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block(3, 4)
        self.second = Block(4, 6)
        self.bottom = Block(6, 8)
        self.third = Block(14, 6)
        self.up = nn.ConvTranspose2d(6, 4, 3, stride=2)
        self.last = Block(8, 4)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        first = self.first(x)
        second = self.second(F.max_pool2d(first, 2))
        bottom = self.bottom(F.avg_pool2d(second, 2))
        x = F.interpolate(bottom, scale_factor=2, mode="bilinear")
        x = self.third(torch.cat([x, second], 1))
        x = self.up(x)[..., :-1, :-1]
        x = self.last(torch.cat([x, first], 1))
        return self.head(x)


def build():
    return Net()


def loss_fn(logits, y):
    return F.binary_cross_entropy_with_logits(logits.movedim(1, -1), y)
