"""Three small models in Keras and their ports to PyTorch, and the slips that are planted in the ports."""

from __future__ import annotations

from typing import NamedTuple

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


class Slip(NamedTuple):
    """One wrong line of the port, and what has to be said of it."""

    pair: str
    old: str
    new: str
    layer: str
    phase: str
    words: str


INFERENCE, TRAINING = "forward, inference", "forward, training"
SLIPS = {
    "batchnorm epsilon": Slip(
        "cnn",
        "eps=1e-3, m",
        "m",
        "bn",
        INFERENCE,
        "epsilon of BatchNorm: A 0.001, B 1e-05",
    ),
    "momentum convention": Slip(
        "cnn",
        "momentum=0.1",
        "momentum=0.9",
        "bn",
        "state",
        "A keeps 0.9 of the old ones, B keeps 0.1 of the old ones: the convention is inverted",
    ),
    "running variance": Slip(
        "cnn",
        "correction=0",
        "correction=1",
        "bn",
        "state",
        "running variance takes in: A the biased one, B n/(n-1) times the biased one",
    ),
    "batchnorm never in inference": Slip(
        "cnn",
        "if not self.training",
        "if False",
        "bn",
        INFERENCE,
        "mode: in inference BatchNorm normalises: A with the running statistics, B with the batch",
    ),
    "batchnorm never in training": Slip(
        "cnn",
        "if not self.training",
        "if self.eval()",
        "bn",
        TRAINING,
        "mode: in training BatchNorm normalises: A with the batch statistics, B with the running",
    ),
    "SAME padding": Slip(
        "cnn",
        "F.pad(x, (0, 1, 0, 1))",
        "F.pad(x, (1, 1, 1, 1))",
        "conv2",
        INFERENCE,
        "padding (before, behind): A pads (0, 1) (SAME), B pads (1, 1)",
    ),
    "max-pool padding": Slip(
        "cnn",
        "self.pool(x)",
        "F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1)",
        "pool",
        INFERENCE,
        "max-pool padding: A pads with minus infinity, B pads with 0",
    ),
    "flipped kernel": Slip(
        "cnn",
        "self.conv1(x)",
        "F.conv2d(x, self.conv1.weight.flip(2, 3), self.conv1.bias, padding=1)",
        "conv1",
        INFERENCE,
        "kernel: A uses it as it is, B flipped",
    ),
    "flatten order": Slip(
        "cnn",
        "x.permute(0, 2, 3, 1).reshape(len(x), -1)",
        "x.flatten(1)",
        "flatten",
        INFERENCE,
        "flatten order: A channels last (H, W, C), B channels first",
    ),
    "leaky slope": Slip(
        "cnn",
        ", 0.2)",
        ")",
        "leaky (leaky_relu)",
        INFERENCE,
        "activation: A leaky ReLU with slope 0.2, B leaky ReLU with slope 0.01",
    ),
    "another activation": Slip(
        "cnn",
        "torch.tanh(",
        "F.relu(",
        "conv2, activation (tanh)",
        INFERENCE,
        "activation: A tanh, B relu",
    ),
    "activation left out": Slip(
        "cnn",
        "torch.tanh(self.conv2(F.pad(x, (0, 1, 0, 1))))",
        "self.conv2(F.pad(x, (0, 1, 0, 1)))",
        "conv2, activation (tanh)",
        INFERENCE,
        "A applies conv2, activation (tanh) here, B applies nothing",
    ),
    "loss reduction": Slip(
        "cnn",
        "(logits, y)\n\nclass",
        "(logits, y, reduction='sum')\n\nclass",
        "loss",
        "loss",
        "reduction of the cross-entropy: A mean, B sum",
    ),
    "heavy ball": Slip("cnn", ", nesterov=True", "", "optimizer", "optimizer", "momentum: A Nesterov's, B heavy-ball"),
    "weight decay": Slip(
        "cnn",
        "p.mul_(1 - 0.05 * 0.01)",
        "p.grad.add_(p, alpha=0.01)",
        "optimizer",
        "optimizer",
        "weight decay: A 0.01, decoupled from the gradient, B 0.01, L2",
    ),
    "gate order": Slip(
        "rnn",
        "i, f, g, o",
        "i, f, o, g",
        "lstm",
        INFERENCE,
        "gate order: A takes the blocks as i, f, c, o, B as i, f, o, c",
    ),
    "forget bias": Slip(
        "rnn", "sigmoid(f)", "sigmoid(f + 1)", "lstm", INFERENCE, "forget gate: A as its bias says, B adds 1"
    ),
    "recurrent hard sigmoid": Slip(
        "rnn",
        "sigmoid = torch.sigmoid",
        "sigmoid = F.hardsigmoid",
        "lstm",
        INFERENCE,
        "recurrent activation: A sigmoid, B the hard sigmoid x/6 + 0.5",
    ),
    "reset_after": Slip(
        "rnn", "", "", "gru", INFERENCE, "reset gate is applied: A before it, B after the matrix product"
    ),
    "batch_first": Slip(
        "rnn", ", batch_first=True", "", "gru", INFERENCE, "batch_first: the axis of time: A the second, B the first"
    ),
    "gelu": Slip(
        "mlp",
        "GELU()",
        "GELU('tanh')",
        "hidden, activation (gelu)",
        INFERENCE,
        "activation: A GELU by erf, B GELU by tanh",
    ),
    "layernorm epsilon": Slip("mlp", ", eps=1e-3", "", "norm", INFERENCE, "epsilon of LayerNorm: A 0.001, B 1e-05"),
    "hard sigmoid": Slip(
        "mlp",
        "nn.Hardsigmoid()",
        "Hard()",
        "gate, activation (hard_sigmoid)",
        INFERENCE,
        "activation: A the hard sigmoid x/6 + 0.5, B the hard sigmoid 0.2x + 0.5",
    ),
    "softmax twice": Slip(
        "mlp", "F.nll_loss(probabilities.log(), y)", "F.cross_entropy(probabilities, y)", "loss", "loss", "softmax"
    ),
    "eps-hat": Slip(
        "mlp",
        "(v.sqrt() + 1e-7)",
        "(v.sqrt() + 1e-7 * (1 - 0.999**self.t) ** 0.5)",
        "optimizer",
        "optimizer",
        "epsilon is added: A to the uncorrected root (eps-hat), B to the bias-corrected root",
    ),
    "bias correction": Slip(
        "mlp",
        "rate = 0.01 * (1 - 0.999**self.t) ** 0.5 / (1 - 0.9**self.t)",
        "rate = 0.01",
        "optimizer",
        "optimizer",
        "bias correction",
    ),
}
