"""Three small models in Keras and their ports to PyTorch, and the slips that are planted in the ports."""

from __future__ import annotations

import numpy as np

from suites.runner.workers import Arrays

CNN_KERAS = """
import keras
from keras import layers

def build():
    return keras.Sequential([
        keras.Input((8, 10, 2)),
        layers.Conv2D(4, 3, padding="same", name="conv1"),
        layers.BatchNormalization(momentum=0.9, name="bn"),
        layers.LeakyReLU(0.2, name="leaky"),
        layers.MaxPooling2D(3, 1, padding="same", name="pool"),
        layers.Conv2D(5, 3, strides=2, padding="same", activation="tanh", name="conv2"),
        layers.Flatten(name="flatten"),
        layers.Dense(7, name="logits"),
    ])

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

def make_optimizer():
    return keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01)
"""

CNN_TORCH = """
import torch
from torch import nn
from torch.nn import functional as F

class Norm(nn.BatchNorm2d):
    def forward(self, x):
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.bn = Norm(4, eps=1e-3, momentum=0.1)
        self.pool = nn.MaxPool2d(3, 1, padding=1)
        self.conv2 = nn.Conv2d(4, 5, 3, stride=2)
        self.logits = nn.Linear(4 * 5 * 5, 7)

    def forward(self, x):
        x = F.leaky_relu(self.bn(self.conv1(x)), 0.2)
        x = self.pool(x)
        x = torch.tanh(self.conv2(F.pad(x, (0, 1, 0, 1))))
        x = x.permute(0, 2, 3, 1).reshape(len(x), -1)
        return self.logits(x)

def build():
    return Net()

def loss_fn(logits, y):
    return F.cross_entropy(logits, y)

class SGD(torch.optim.SGD):
    def step(self):
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p.mul_(1 - 0.05 * 0.01)
        super().step()

def make_optimizer(model):
    return SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
"""

LSTM_KERAS = """
import keras
from keras import layers

def build():
    return keras.Sequential([
        keras.Input((5,), dtype="int32"),
        layers.Embedding(9, 4, name="embed"),
        layers.LSTM(3, return_sequences=True, name="lstm"),
        layers.GRU(3, reset_after=True, name="gru"),
        layers.Dense(4, name="logits"),
    ])

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
"""

LSTM_TORCH = """
import torch
from torch import nn
from torch.nn import functional as F

sigmoid = torch.sigmoid

class LSTM(nn.Module):
    def __init__(self, inputs, units):
        super().__init__()
        self.units = units
        self.x2g = nn.Linear(inputs, 4 * units)
        self.h2g = nn.Linear(units, 4 * units, bias=False)

    def forward(self, x):
        h = c = x.new_zeros(len(x), self.units)
        outputs = []
        for t in range(x.shape[1]):
            i, f, g, o = (self.x2g(x[:, t]) + self.h2g(h)).chunk(4, -1)
            c = sigmoid(f) * c + sigmoid(i) * torch.tanh(g)
            h = sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, 1)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.lstm = LSTM(4, 3)
        self.gru = nn.GRU(3, 3, batch_first=True)
        self.logits = nn.Linear(3, 4)

    def forward(self, x):
        x, _ = self.gru(self.lstm(self.embed(x)))
        return self.logits(x[:, -1])

def build():
    return Net()

def loss_fn(logits, y):
    return F.cross_entropy(logits, y)
"""

MLP_KERAS = """
import keras
from keras import layers

def build():
    return keras.Sequential([
        keras.Input((6,)),
        layers.Dense(6, activation="gelu", name="hidden"),
        layers.LayerNormalization(name="norm"),
        layers.Dropout(0.5),
        layers.Dense(5, activation="hard_sigmoid", name="gate"),
        layers.Dense(4, name="logits"),
        layers.Softmax(name="probabilities"),
    ])

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=False)

def make_optimizer():
    return keras.optimizers.Adam(0.01)
"""

MLP_TORCH = """
import torch
from torch import nn
from torch.nn import functional as F

class Hard(nn.Module):
    def forward(self, x):
        return torch.clamp(0.2 * x + 0.5, 0, 1)

def build():
    return nn.Sequential(
        nn.Linear(6, 6),
        nn.GELU(),
        nn.LayerNorm(6, eps=1e-3),
        nn.Dropout(0.5),
        nn.Linear(6, 5),
        nn.Hardsigmoid(),
        nn.Linear(5, 4),
        nn.Softmax(-1),
    )

def loss_fn(probabilities, y):
    return F.nll_loss(probabilities.log(), y)

class Adam:
    def __init__(self, parameters):
        self.parameters = [[p, torch.zeros_like(p), torch.zeros_like(p)] for p in parameters]
        self.t = 0

    def zero_grad(self):
        for p, *_ in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        self.t += 1
        rate = 0.01 * (1 - 0.999**self.t) ** 0.5 / (1 - 0.9**self.t)
        for p, m, v in self.parameters:
            m.add_(p.grad - m, alpha=1 - 0.9)
            v.add_(p.grad**2 - v, alpha=1 - 0.999)
            p.sub_(rate * m / (v.sqrt() + 1e-7))

def make_optimizer(model):
    return Adam(model.parameters())
"""

PAIRS = {"cnn": (CNN_KERAS, CNN_TORCH), "rnn": (LSTM_KERAS, LSTM_TORCH), "mlp": (MLP_KERAS, MLP_TORCH)}
RNG = np.random.default_rng(0)
DATA: dict[str, Arrays] = {
    "cnn": {"x": RNG.normal(size=(6, 8, 10, 2)), "y": RNG.integers(0, 7, 6)},
    "rnn": {"x": RNG.integers(0, 9, (5, 5)), "y": RNG.integers(0, 4, 5)},
    "mlp": {"x": RNG.normal(size=(6, 6)), "y": RNG.integers(0, 4, 6)},
}
