"""The port of a.py to PyTorch."""

import torch
import torch.nn.functional as F
from torch import nn

WIDTH, HEADS, GROUPS, SIZE = 24, 4, 2, 6


def sinusoids(length, width):
    angles = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(width // 2) / (width // 2))
    return torch.stack([angles.sin(), angles.cos()], -1).view(length, width)


def rotate(x):
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[2])[:, None] * 10000.0 ** (-torch.arange(half) / half)
    cos, sin = angles.cos(), angles.sin()
    one, two = x[..., :half], x[..., half:]
    return torch.cat([one * cos - two * sin, two * cos + one * sin], -1)


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(WIDTH, HEADS * SIZE)
        self.key = nn.Linear(WIDTH, GROUPS * SIZE)
        self.value = nn.Linear(WIDTH, GROUPS * SIZE)
        self.out = nn.Linear(WIDTH, WIDTH)

    def heads(self, x, count):
        return x.view(len(x), x.shape[1], count, SIZE).transpose(1, 2)

    def forward(self, x, present):
        q = rotate(self.heads(self.query(x), HEADS))
        k = rotate(self.heads(self.key(x), GROUPS))
        v = self.heads(self.value(x), GROUPS)
        k = k.repeat_interleave(HEADS // GROUPS, dim=1)
        v = v.repeat_interleave(HEADS // GROUPS, dim=1)
        scores = q @ k.transpose(-2, -1) / SIZE**0.5
        past = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        allowed = past & present[:, None, None, :]
        weights = scores.masked_fill(~allowed, -1e9).softmax(-1)
        mixed = (weights @ v).transpose(1, 2)
        return self.out(mixed.reshape(len(x), x.shape[1], WIDTH))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, WIDTH)
        self.before = RMSNorm(WIDTH)
        self.attention = Attention()
        self.between = RMSNorm(WIDTH)
        self.gate = nn.Linear(WIDTH, 24)
        self.up = nn.Linear(WIDTH, 24)
        self.down = nn.Linear(24, WIDTH)
        self.final = RMSNorm(WIDTH)
        self.logits = nn.Linear(WIDTH, 5)

    def forward(self, ids):
        present = ids != 0
        x = self.embed(ids) * WIDTH**0.5 + sinusoids(ids.shape[1], WIDTH)
        x = x + self.attention(self.before(x), present)
        h = self.between(x)
        x = x + self.down(F.silu(self.gate(h)) * self.up(h))
        return self.logits(self.final(x))


def build():
    return Decoder()


def loss_fn(logits, y):
    return F.cross_entropy(logits.transpose(1, 2), y)
