"""Keras's attention takes its softmax in float32: what is right beside it is the same, and a bug behind it is found.

In the same model a scan, a moved statistic and a dropout, whose places are looked for by their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from impls.port_messages import PassFacts
from suites.port.api import compare
from suites.port.layer_uses import uses
from suites.port.recording import Pass
from suites.port.testing.pools import pool_of
from suites.port.verdict import Verdict
from suites.runner.workers import Pool

KERAS = """
import keras
from keras import layers

def build():
    inputs = x = keras.Input((5, 3))
    x = layers.LSTM(4, return_sequences=True, name="rnn")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name="bn")(x)
    x = x + layers.MultiHeadAttention(2, 2, name="attention")(x, x, use_causal_mask=True)
    x = layers.LayerNormalization(epsilon=1e-3, name="norm")(x)
    x = layers.Dropout(0.25, name="drop")(x)
    x = layers.Dense(4, name="dense")(x)
    x = keras.ops.silu(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x[:, -1]))
"""
NNX = """
import jax
import jax.numpy as jnp
from flax import nnx

class Net(nnx.Module):
    def __init__(self, rngs):
        self.rnn = nnx.RNN(nnx.OptimizedLSTMCell(3, 4, rngs=rngs), rngs=rngs)
        self.bn = nnx.BatchNorm(4, momentum=0.9, epsilon=1e-3, rngs=rngs)
        self.q, self.k, self.v, self.o = (nnx.Linear(4, 4, rngs=rngs) for _ in range(4))
        self.norm = nnx.LayerNorm(4, epsilon=1e-3, rngs=rngs)
        self.drop = nnx.Dropout(0.25, rngs=rngs)
        self.dense = nnx.Linear(4, 4, rngs=rngs)
        self.logits = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        x = self.bn(self.rnn(x))
        q, k, v = (layer(x).reshape(*x.shape[:-1], 2, 2) for layer in (self.q, self.k, self.v))
        scores = jnp.einsum("nqhd,nkhd->nhqk", q, k) / 2**0.5
        scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -jnp.inf)
        x = x + self.o(jnp.einsum("nhqk,nkhd->nqhd", jax.nn.softmax(scores), v).reshape(x.shape))
        x = self.drop(self.norm(x))
        x = self.dense(x)
        x = jax.nn.silu(x)
        return self.logits(x[:, -1])

def build():
    return Net(nnx.Rngs(0))
"""
DATA = {"x": np.random.default_rng(0).normal(size=(3, 5, 3))}
BUGS = [
    ("4, epsilon=1e-3", "4, epsilon=1.1e-3", "norm", "epsilon"),
    ("jax.nn.silu(x)", "jax.nn.gelu(x)", "logits", "silu"),
    ("self.dense(x)", "x @ self.dense.kernel[...].T + self.dense.bias[...]", "dense", "transposed"),
    ("self.drop(self.norm(x))", "self.norm(x)", "drop", "dropout"),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pytest.importorskip("flax")
    yield from pool_of(("tf_keras", "jax"))


def write(folder: Path, old: str = "", new: str = "") -> tuple[Path, Path]:
    """Both programs, with one change in B."""
    assert NNX.count(old) == 1 or not old
    (folder / "a.py").write_text(KERAS)
    (folder / "b.py").write_text(NNX.replace(old, new) if old else NNX)
    return folder / "a.py", folder / "b.py"


@pytest.mark.full
@pytest.mark.catalogue
def test_a_right_port_beside_it_is_the_same(pool: Pool, tmp_path: Path) -> None:
    """Its float32 is the one thing that is told; the scan before and the dropout behind are no places of their own."""
    found = compare(*write(tmp_path), DATA, backend_a="jax", pool=pool)
    assert found.verdict is Verdict.SAME_UP_TO, found.text()
    assert [finding.signature for finding in found.findings] == ["float32"]


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("old, new, place, word", BUGS, ids=["epsilon", "activation", "transposed", "dropout"])
def test_a_bug_behind_it_is_found_and_named(
    pool: Pool, tmp_path: Path, old: str, new: str, place: str, word: str
) -> None:
    """What float32 explains is healed before the next cause is looked for, so that nothing hides behind it."""
    found = compare(*write(tmp_path, old, new), DATA, backend_a="jax", pool=pool)
    assert found.verdict is Verdict.DIFFERENT
    ours = [finding for finding in found.findings if not finding.released]
    assert ours, found.text()
    assert all(place in finding.place and word in finding.words() for finding in ours), found.text()


def recurrent(read: int) -> Pass:
    """A scan that gives two states and the sequence, of which one is turned and read."""
    values = [{"print": None, "shape": [2, 3, 4], "dtype": "float64"} for _ in range(5)]
    given = [{"weights": ["rnn/kernel"]}, {"value": 0}]
    entry = {"scope": ["rnn"], "attributes": {}, "line": ""}
    scan = {**entry, "at": 0, "name": "scan", "raw": "scan", "inputs": given, "outputs": [1, 2, 3]}
    turn = {**entry, "at": 1, "name": "transpose", "raw": "t", "inputs": [{"value": read}], "outputs": [4]}
    body = {"mode": "inference", "inputs": {"x": 0}, "outputs": {"out": 4}, "values": values, "ops": [scan, turn]}
    return Pass.of(cast(PassFacts, {**body, "calls": [], "dropouts": []}), {})


@pytest.mark.parametrize("read", [1, 2, 3])
def test_a_layer_gives_what_is_read_of_it(read: int) -> None:
    """The first output of a scan is a state: laid beside the other side's sequence it was a false alarm."""
    (use,) = uses(recurrent(read), {"rnn/kernel": "rnn"})["rnn"]
    assert use.outputs == (read,)
