"""Models of flax, Equinox and Haiku as their users have them.

build() gives the module itself, with a training mode, running statistics and dropout; the optimizer is optax's.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from suites.port.api import Result, compare
from suites.port.verdict import Verdict
from suites.runner.workers import Pool

pytestmark = pytest.mark.full

TORCH = """
import torch
from torch import nn
from torch.nn import functional as F

class BatchNorm(nn.BatchNorm2d):
    \"\"\"Moves the biased variance, as JAX's libraries do.\"\"\"

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            self.running_mean.lerp_(x.mean((0, 2, 3)), self.momentum)
            self.running_var.lerp_(x.var((0, 2, 3), correction=0), self.momentum)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = BatchNorm(4)
        self.drop = nn.Dropout(RATE)
        self.logits = nn.Linear(4, 5)

    def forward(self, x):
        return self.logits(self.drop(F.relu(self.bn(self.conv(x)))).mean((2, 3)))

def build():
    return Net()

def loss_fn(logits, y):
    return F.cross_entropy(logits, y)

def make_optimizer(model):
    return torch.optim.Adam(model.parameters(), 1e-3)
"""
TRAINING = """
import optax

def loss_fn(logits, y):
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

def make_optimizer():
    return optax.adam(1e-3)
"""
LINEN = """
from flax import linen as nn

class CNN(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(4, (3, 3), name="conv")(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, epsilon=1e-5, name="bn")(x))
        x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(5, name="logits")(x.mean((1, 2)))

def build():
    return CNN()
"""
NNX = """
from flax import nnx

class CNN(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.bn = nnx.BatchNorm(4, momentum=MOMENTUM, epsilon=1e-5, rngs=rngs)
        self.drop = nnx.Dropout(0.2, rngs=rngs)
        self.logits = nnx.Linear(4, 5, rngs=rngs)

    def __call__(self, x):
        return self.logits(self.drop(nnx.relu(self.bn(self.conv(x)))).mean((1, 2)))

def build():
    return CNN(nnx.Rngs(0))
"""
EQUINOX = """
import equinox as eqx
import jax

class CNN(eqx.Module):
    conv: eqx.nn.Conv2d
    bn: eqx.nn.BatchNorm
    drop: eqx.nn.Dropout
    logits: eqx.nn.Linear

    def __init__(self, key):
        one, other = jax.random.split(key)
        self.conv = eqx.nn.Conv2d(3, 4, 3, padding=1, key=one)
        self.bn = eqx.nn.BatchNorm(4, "batch", momentum=MOMENTUM, mode="batch")
        self.drop = eqx.nn.Dropout(0.2)
        self.logits = eqx.nn.Linear(4, 5, key=other)

    def __call__(self, x, state, key):
        x, state = self.bn(self.conv(x), state)
        return self.logits(self.drop(jax.nn.relu(x), key=key).mean((1, 2))), state

def build():
    return eqx.nn.make_with_state(CNN)(jax.random.key(0))
"""
HAIKU = """
import haiku as hk
import jax

def forward(x, is_training):
    x = hk.Conv2D(4, 3, name="conv")(x)
    x = jax.nn.relu(hk.BatchNorm(True, True, MOMENTUM, name="bn")(x, is_training))
    if is_training:
        x = hk.dropout(hk.next_rng_key(), 0.2, x)
    return hk.Linear(5, name="logits")(x.mean((1, 2)))

def build():
    return hk.transform_with_state(forward)
"""
STARTS = {"equinox": Verdict.SAME_UP_TO, "haiku": Verdict.DIFFERENT}  # Haiku's averages have a setting without it
LIBRARIES = {"flax linen": LINEN, "flax nnx": NNX, "equinox": EQUINOX, "haiku": HAIKU}
DATA = {
    "x": np.random.default_rng(0).normal(size=(6, 6, 6, 3)),
    "y": np.random.default_rng(1).integers(0, 5, 6),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool() as found:
        yield found


def compared(pool: Pool, folder: Path, source: str, momentum: float = 0.9, rate: float = 0.2) -> Result:
    if importlib.util.find_spec(source.split()[1].partition(".")[0]) is None:
        pytest.skip("its library is not installed")
    (folder / "a.py").write_text(TORCH.replace("RATE", str(rate)))
    (folder / "b.py").write_text(source.replace("MOMENTUM", str(momentum)) + TRAINING)
    return compare(folder / "a.py", folder / "b.py", DATA, pool=pool)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.one_in(5)
def test_a_correct_port_is_the_same(pool: Pool, tmp_path: Path, library: str) -> None:
    """In both modes, with its statistics, dropout, gradients and steps; what corrects the start of averages is told."""
    found = compared(pool, tmp_path, LIBRARIES[library])
    assert found.verdict is STARTS.get(library, Verdict.SAME), found.text()
    told = ["statistics_start"] if library in STARTS else []
    assert [finding.signature for finding in found.findings] == told
    assert found.comparison.modes == ("inference", "training")
    assert any(outcome.tensor.startswith("state/") for outcome in found.comparison.outcomes)
    assert any(outcome.tensor.startswith("step/2/") for outcome in found.comparison.outcomes)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.catalogue
def test_a_wrong_momentum_of_the_statistics_is_found(pool: Pool, tmp_path: Path, library: str) -> None:
    """Seen in training only: a model that is compared without its state would pass."""
    found = compared(pool, tmp_path, LIBRARIES[library], momentum=0.99)
    assert not found.same
    assert any(finding.signature == "momentum" and finding.phase == "state" for finding in found.findings)


RARE = ("flax linen", "equinox")  # whose dropout is seen as the other two's
MARKED = [pytest.param(name, marks=pytest.mark.catalogue if name in RARE else ()) for name in LIBRARIES]


@pytest.mark.parametrize("library", MARKED)
@pytest.mark.catalogue
def test_another_rate_of_dropout_is_found(pool: Pool, tmp_path: Path, library: str) -> None:
    found = compared(pool, tmp_path, LIBRARIES[library], rate=0.5)
    assert not found.same
    assert any("dropout rate: A 0.5, B 0.2" in finding.words() for finding in found.findings), found.text()


RECURRENT = """
from flax import nnx

class Tagger(nnx.Module):
    def __init__(self, rngs):
        self.rnn = nnx.RNN(nnx.OptimizedLSTMCell(3, 4, rngs=rngs))
        self.logits = nnx.Linear(4, 5, rngs=rngs)

    def __call__(self, x):
        return self.logits(self.rnn(x)[:, -1])

def build():
    return Tagger(nnx.Rngs(0))
"""


@pytest.mark.catalogue
def test_the_keys_that_an_nnx_rnn_hands_on_are_no_numbers(pool: Pool, tmp_path: Path) -> None:
    """Its cells split a random key inside the pass: such a model was refused."""
    if importlib.util.find_spec("flax") is None:
        pytest.skip("flax is not installed")
    (tmp_path / "a.py").write_text(RECURRENT + TRAINING)
    data = {"x": DATA["x"][:, 0], "y": DATA["y"]}
    assert compare(tmp_path / "a.py", tmp_path / "a.py", data, pool=pool).same


GATED = """
import torch
from torch import nn
from torch.nn import functional as F

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=True)
        self.logits = nn.Linear(4, 5)

    def forward(self, x):
        return self.logits(self.rnn(x)[0][:, -1])

def build():
    return Tagger()

def loss_fn(logits, y):
    return F.cross_entropy(logits, y)

def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), 0.1)
"""
GATED_LINEN = """
from flax import linen as nn

class Tagger(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(5, name="logits")(nn.RNN(nn.GRUCell(4), name="rnn")(x)[:, -1])

def build():
    return Tagger()
"""


@pytest.mark.catalogue
def test_of_a_gru_with_one_bias_for_two_gates_only_the_sum_counts(pool: Pool, tmp_path: Path) -> None:
    """A correct port from torch's or Keras's, which have two, was different in its gradients and its steps."""
    if importlib.util.find_spec("flax") is None:
        pytest.skip("flax is not installed")
    (tmp_path / "a.py").write_text(GATED)
    data = {"x": DATA["x"][:, 0], "y": DATA["y"]}
    for rate, verdict in (("sgd(0.1)", Verdict.SAME_UP_TO), ("sgd(0.2)", Verdict.DIFFERENT)):
        (tmp_path / "b.py").write_text(GATED_LINEN + TRAINING.replace("adam(1e-3)", rate))
        found = compare(tmp_path / "a.py", tmp_path / "b.py", data, pool=pool)
        assert found.verdict is verdict, found.text()
        assert any(finding.signature == "two_biases" for finding in found.findings) or verdict is Verdict.DIFFERENT
