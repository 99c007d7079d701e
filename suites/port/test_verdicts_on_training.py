"""Verdicts on training: losses, gradients, penalties, buffers, schedules and rates that one side has otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from suites.port.testing.nets import ROWS, compared, linears, program
from suites.port.verdict import Verdict
from suites.runner.availability import availability
from suites.runner.workers import Pool

LABELS = np.random.default_rng(0).integers(0, 4, 3)
ADDING_UP = """

def loss_fn(logits, y):
    return F.cross_entropy(logits, y)

def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)

def train_step(model, optimizer, x, y):
    CLEAR
    loss_fn(model(x), y).backward()
    optimizer.step()
"""


def test_gradients_that_are_never_cleared_are_a_bug(pool: Pool, tmp_path: Path) -> None:
    """They were left over from run to run, which made every step look ill-conditioned: any update was the same."""
    one = linears("first second", "self.second(torch.tanh(self.first(x)))")
    sides = [one + ADDING_UP.replace("CLEAR", line) for line in ("optimizer.zero_grad()", "pass")]
    data = {**ROWS, "y": LABELS}
    found = compared(pool, tmp_path, sides[0], sides[1], data)
    assert found.verdict is Verdict.DIFFERENT, found.text()


SCHEDULED = """

def loss_fn(logits, y):
    return F.cross_entropy(logits, y)

def make_optimizer(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1, GAMMA)
"""


@pytest.mark.full
def test_a_scheduler_beside_the_optimizer_takes_its_steps(pool: Pool, tmp_path: Path) -> None:
    """`return optimizer, scheduler` was refused."""
    one = linears("first second", "self.second(torch.tanh(self.first(x)))")
    sides = [one + SCHEDULED.replace("GAMMA", gamma) for gamma in ("0.5", "0.9")]
    data = {**ROWS, "y": LABELS}
    assert compared(pool, tmp_path, sides[0], sides[0], data).verdict is Verdict.SAME
    found = compared(pool, tmp_path, sides[0], sides[1], data)
    assert "A 0.1, 0.05, 0.025, B 0.1, 0.09, 0.081" in found.text()


CENTRED = program(
    """
self.first = nn.utils.spectral_norm(nn.Linear(4, 4)); self.second = nn.Linear(4, 3)
self.register_buffer("centre", torch.zeros(4))
""",
    """
h = torch.tanh(self.first(x))
if self.training:
    MOVE
return self.second(h - self.centre)
""",
)
SEEDED = CENTRED.replace("    return Net()", "    torch.manual_seed(SEED)\n    return Net()")


@pytest.mark.full
def test_a_buffer_that_the_model_assigns_is_the_weight_from_then_on(pool: Pool, tmp_path: Path) -> None:
    """It was left as it was at the start, and moved from run to run: a correct port was different.

    So was spectral norm, whose vectors each side began by its own chance.
    """
    moves = "self.centre = 0.9 * self.centre + 0.1 * h.detach().mean(0)", "self.centre.lerp_(h.detach().mean(0), SHARE)"
    assigned, in_place = (SEEDED.replace("MOVE", move).replace("SEED", str(n)) for n, move in enumerate(moves))
    same, other = (
        compared(pool, tmp_path, assigned, in_place.replace("SHARE", share), ROWS) for share in ("0.1", "0.9")
    )
    assert same.verdict is Verdict.SAME, same.text()
    assert other.verdict is Verdict.DIFFERENT, other.text()


FOCAL = """

def loss_fn(logits, y):
    log_p = F.log_softmax(logits, -1).gather(1, y[:, None])[:, 0]
    p = log_p.exp()
    return -(WEIGHT * log_p).mean()
"""


@pytest.mark.full
def test_an_unknown_loss_is_told_by_its_operations(pool: Pool, tmp_path: Path) -> None:
    """Numbers alone said "class weights", or nothing."""
    one = linears("first", "self.first(x)")
    sides = [one + FOCAL.replace("WEIGHT", weight) for weight in ("(2 - p) ** 2", "(2 + p) ** 2")]
    found = compared(pool, tmp_path, sides[0], sides[1], {**ROWS, "y": LABELS})
    (loss,) = found.findings
    assert (loss.phase, loss.line_a, loss.line_b) == ("loss", "a.py:21", "b.py:21"), found.text()
    assert "rsubtract" in loss.words() and loss.cause is not None and loss.cause.a == "2"


MODULE = """
import tensorflow as tf

class Dense(tf.Module):
    def __init__(self, n, m):
        super().__init__()
        self.w = tf.Variable(tf.random.normal([n, m])); self.b = tf.Variable(tf.zeros([m]))

    def __call__(self, x):
        return x @ self.w + self.b

class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.first = Dense(4, 5)
        self.blocks = [Dense(5, 5)]

    def __call__(self, x, training=False):
        x = tf.tanh(self.first(x))
        if training:
            x = tf.nn.dropout(x, RATE)
        return sum((tf.tanh(block(x)) for block in self.blocks), x)

def build():
    return Net()

def loss_fn(logits, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
"""
OF_KERAS = """
import keras
from keras import layers

def build():
    x = inputs = keras.Input((4,))
    x = layers.Dense(5, "tanh", name="first"PENALTY)(x)
    x = layers.Dropout(0.25)(x)
    return keras.Model(inputs, layers.Add()([x, layers.Dense(5, "tanh", name="block")(x)]))

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
"""


@pytest.mark.full
@pytest.mark.catalogue
def test_a_module_of_tensorflow_is_a_side_and_a_penalty_of_activations_a_bug(pool: Pool, tmp_path: Path) -> None:
    """Without training steps a penalty showed nowhere. What a weight decay could do is no difference by itself.

    TensorFlow's own dropout was seen nowhere: what is left of a model beside it could not be compared.
    """
    if reason := availability("tf_keras", "tensorflow"):
        pytest.skip(reason)
    data = {**ROWS, "y": LABELS}
    penalty = ", {}_regularizer=keras.regularizers.L2(0.1)"
    for kind, verdict in (("kernel", Verdict.SAME), ("activity", Verdict.DIFFERENT)):
        text = penalty.format(kind)
        found = compared(pool, tmp_path, OF_KERAS.replace("PENALTY", text), MODULE.replace("RATE", "0.25"), data)
        assert found.verdict is verdict, found.text()
    assert found.findings[0].signature == "penalty"
    found = compared(pool, tmp_path, OF_KERAS.replace("PENALTY", ""), MODULE.replace("RATE", "0.75"), data)
    assert [(one.signature, one.cause.b) for one in found.findings if one.cause] == [("dropout_rate", "0.75")]


SCALED = program(
    """
self.one = nn.Linear(4, 3)
self.register_buffer("scale", torch.tensor(SCALE))
""",
    "return self.one(self.scale * x)",
)
SCALED += """
def loss_fn(z, y):
    return (z * z).mean()

def make_optimizer(net):
    FREEZE
    return torch.optim.SGD(net.parameters(), 0.1)
"""
LABELLED = {**ROWS, "y": np.zeros(3, int)}


@pytest.mark.parametrize(
    "scale, freeze, words",
    [("0.5", "pass", ""), ("0.25", "pass", "0.5"), ("0.5", "net.one.bias.requires_grad_(False)", "one: A trains it")],
)
def test_one_number_as_a_buffer_and_weights_frozen_late(
    pool: Pool, tmp_path: Path, scale: str, freeze: str, words: str
) -> None:
    """A buffer without axes, and a weight that make_optimizer freezes, were refused."""
    a = SCALED.replace("SCALE", "0.5").replace("FREEZE", "pass")
    found = compared(pool, tmp_path, a, SCALED.replace("SCALE", scale).replace("FREEZE", freeze), LABELLED)
    assert (found.verdict is Verdict.SAME) == (not words)
    assert not words or words in found.findings[0].words()


KERAS = """
import keras
from keras import layers

def build():
    return keras.Sequential([
        keras.Input((4,)), layers.Dense(4, activation="gelu", name="one"), layers.Dense(3, name="two")
    ])

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

def make_optimizer():
    return keras.optimizers.SGD(0.001, momentum=0.9)
"""
TORCH = program("self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 3)", "return self.two(F.gelu(self.one(x)))")
TORCH += """
def loss_fn(logits, y):
    return F.cross_entropy(logits, y)

def make_optimizer(net):
    return torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
"""


@pytest.mark.full
@pytest.mark.parametrize("rate, verdict", [("0.001", Verdict.SAME_UP_TO), ("0.00100001", Verdict.DIFFERENT)])
def test_float32_inside_an_engine_excuses_its_own_rounding_only(
    pool: Pool, tmp_path: Path, rate: str, verdict: Verdict
) -> None:
    """TensorFlow's GELU and Keras's rates are float32: what follows from that differs by 1e-8, a wrong rate by more."""
    if reason := availability("tf_keras", "tensorflow"):
        pytest.skip(reason)
    labels = {**ROWS, "y": np.array([0, 2, 1])}
    found = compared(pool, tmp_path, KERAS, TORCH.replace("lr=0.001", f"lr={rate}"), labels)
    assert found.verdict is verdict, found.text()
