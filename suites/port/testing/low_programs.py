"""One small attention block in three frameworks, and what goes wrong with it in a lower type, for tests."""

TORCH = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(16, 32)
        self.scale = nn.Parameter(torch.ones(32))
        self.q, self.k, self.v = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 32)
        self.head = nn.Linear(32, 5)

    def norm(self, x):
        wide = x.float() if x.dtype is not torch.float64 else x
        x = (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)).to(x.dtype)
        return x * self.scale

    def attend(self, scores, value):
        wide = torch.float64 if scores.dtype is torch.float64 else torch.float32
        return scores.softmax(-1, dtype=wide).to(value.dtype) @ value

    def turn(self, x):
        return x

    def forward(self, x):
        given = x
        x = self.norm(self.up(x))
        scores = self.turn(self.q(x)) @ self.turn(self.k(x)).transpose(-2, -1) / 32**0.5
        x = x + self.attend(scores, self.v(x))
        return self.head(x)

def build():
    return Net()
"""
WIDE_NORM = "wide = x.float() if x.dtype is not torch.float64 else x"
NARROW_NORM = "wide = x"
WIDE_SOFTMAX = "wide = torch.float64 if scores.dtype is torch.float64 else torch.float32"
NARROW_SOFTMAX = "wide = scores.dtype"
PLAIN = "    def turn(self, x):\n        return x\n"
ROTARY = """    def turn(self, x):
        wide = WIDE
        rates = 1.0 / 10000 ** (torch.arange(0, 32, 2).to(wide) / 32)
        angles = torch.arange(1000, 1000 + x.shape[-2]).to(wide)[:, None] * rates
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        one, two = x[..., :16], x[..., 16:]
        return torch.cat([one * cos - two * sin, two * cos + one * sin], -1)
"""
WIDE_ROTARY = ROTARY.replace("WIDE", "torch.float64 if x.dtype is torch.float64 else torch.float32")
NARROW_ROTARY = ROTARY.replace("WIDE", "x.dtype")
SCORES = "/ 32**0.5\n"
MASKED = "/ 32**0.5 + (given[:, None, :, 0] < 0).to(x.dtype) * -1e9\n"
HELD = MASKED.replace("-1e9", "max(-1e9, torch.finfo(x.dtype).min)")
SUMMED = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(400, 3)

    def forward(self, x):
        return self.head(x)

def build():
    return Net()
"""
ADDED_UP = """
        value, total = self.head.weight.T, self.head.bias
        for at in range(400):
            total = total + x[..., at : at + 1] * value[at]
        return total
"""
PLACES = """    def turn(self, x):
        places = torch.arange(x.shape[-2]).to(WIDE)
        return x * torch.cos(places / 20)[:, None].to(x.dtype)
"""
WIDE_PLACES = PLACES.replace("WIDE", "torch.float64 if x.dtype is torch.float64 else torch.float32")
NARROW_PLACES = PLACES.replace("WIDE", "x.dtype")
JAX = """
import jax
import jax.numpy as jnp
import numpy as np

class Model:
    def __init__(self):
        sizes = {"up": (16, 32), "q": (32, 32), "k": (32, 32), "v": (32, 32), "head": (32, 5)}
        self.params = {name: {"kernel": np.ones(size), "bias": np.zeros(size[1])} for name, size in sizes.items()}
        self.params["norm"] = {"scale": np.ones(32)}

    def forward(self, params, x):
        def dense(name, x):
            return x @ params[name]["kernel"] + params[name]["bias"]

        x = dense("up", x)
        x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * params["norm"]["scale"]
        scores = dense("q", x) @ dense("k", x).swapaxes(-2, -1) / 32**0.5
        return dense("head", x + jax.nn.softmax(scores) @ dense("v", x))

def build():
    return Model()
"""
KERAS = """
import keras
from keras import layers, ops

class RMSNorm(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-5) * self.scale

def build():
    inputs = keras.Input((None, 16))
    x = RMSNorm(name="norm")(layers.Dense(32, name="up")(inputs))
    q, k, v = (layers.Dense(32, name=name)(x) for name in "qkv")
    scores = ops.matmul(q, ops.swapaxes(k, -2, -1)) / 32**0.5
    x = x + ops.matmul(ops.softmax(scores), v)
    return keras.Model(inputs, layers.Dense(5, name="head")(x))
"""


def changed(program: str, *changes: tuple[str, str]) -> str:
    """A program with each of these texts, which is in it, exchanged for another."""
    for old, new in changes:
        assert old in program, old
        program = program.replace(old, new)
    return program
