"""Models in plain functions are trained as their users do it: by optax, by their own step, by Keras on TensorFlow."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from suites.port.api import Result
from suites.port.errors import PortError
from suites.port.testing.nets import compared, program
from suites.port.verdict import Verdict
from suites.runner.availability import availability
from suites.runner.workers import Pool

WITHOUT_OPTAX = importlib.util.find_spec("optax") is None
pytestmark = [pytest.mark.full, pytest.mark.skipif(WITHOUT_OPTAX, reason="optax is not installed")]

RNG = np.random.default_rng(0)
DATA = {"x": RNG.normal(size=(6, 4)), "y": RNG.integers(0, 4, 6)}
TORCH = program("self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)", "return self.two(torch.tanh(self.one(x)))")
TORCH += """
def loss_fn(z, y):
    return F.cross_entropy(z, y)

def make_optimizer(net):
    return torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
"""
JAX = """
import jax
import jax.numpy as jnp
import optax

class Model:
    params = {name: {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)} for name in ("one", "two")}

    def forward(self, params, x):
        x = jnp.tanh(x @ params["one"]["kernel"] + params["one"]["bias"])
        return x @ params["two"]["kernel"] + params["two"]["bias"]

def build():
    return Model()

def loss_fn(z, y):
    return -jax.nn.log_softmax(z)[jnp.arange(len(y)), y].mean()

def make_optimizer():
    return optax.sgd(0.1, momentum=0.9)
"""
STEP = """
def train_step(params, state, x, y):
    grads = jax.grad(lambda p: loss_fn(Model().forward(p, x), y))(params)
    updates, state = make_optimizer().update(grads, state, params)
    return RETURNED
"""
TENSORFLOW = """
import keras
import tensorflow as tf

class Net(tf.Module):
    def __init__(self):
        self.one = tf.Variable(tf.ones((4, 4))), tf.Variable(tf.ones(4))
        self.one, self.two = list(self.one), [tf.Variable(tf.ones((4, 4))), tf.Variable(tf.ones(4))]

    def __call__(self, x):
        return tf.tanh(x @ self.one[0] + self.one[1]) @ self.two[0] + self.two[1]

def build():
    return Net()

def loss_fn(y, z):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, z))

def make_optimizer():
    return keras.optimizers.SGD(RATE, momentum=0.9)
"""


def run(pool: Pool, folder: Path, b: str) -> Result:
    return compared(pool, folder, TORCH, b, DATA)


def test_an_optax_optimizer_makes_steps_without_a_training_flag(pool: Pool, tmp_path: Path) -> None:
    """Nothing but outputs and gradients was compared, and another learning rate was SAME."""
    right = run(pool, tmp_path, JAX)
    assert right.verdict is Verdict.SAME, right.text()
    assert any(outcome.tensor.startswith("step/2/") for outcome in right.comparison.outcomes)
    found = run(pool, tmp_path, JAX.replace("sgd(0.1", "sgd(0.2"))
    assert "learning rate: A 0.1, B 0.2" in found.findings[0].words(), found.text()


@pytest.mark.catalogue
def test_a_step_that_the_user_wrote_is_followed(pool: Pool, tmp_path: Path) -> None:
    step = JAX + STEP.replace("RETURNED", "optax.apply_updates(params, updates), state, 0.0")
    assert run(pool, tmp_path, step).verdict is Verdict.SAME
    clipped = step.replace(
        "    updates, state", "    grads = jax.tree.map(lambda g: g.clip(-0.01, 0.01), grads)\n    updates, state"
    )
    found = run(pool, tmp_path, clipped)
    assert "clips by value at 0.01" in found.findings[0].words(), found.text()
    with pytest.raises(PortError, match="has to return the new params, the new state"):
        run(pool, tmp_path, JAX + STEP.replace("RETURNED", "optax.apply_updates(params, updates)"))


HEAD = """
import jax
import jax.numpy as jnp
import optax
IMPORTS

class Net(BASE):
    LAYERS

def loss_fn(z, y):
    return -jax.nn.log_softmax(z)[jnp.arange(len(y)), y].mean()

def clip(grads):
    return jax.tree.map(lambda g: jnp.clip(g, -0.01, 0.01), grads)

TX = optax.sgd(0.1, momentum=0.9)
"""
NNX = ("from flax import nnx", "nnx.Module", """
    def __init__(self, rngs):
        self.one, self.two = nnx.Linear(4, 4, rngs=rngs), nnx.Linear(4, 4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.two(self.drop(jnp.tanh(self.one(x))))
""", """
def build():
    return Net(nnx.Rngs(0))

def make_optimizer(model):
    return nnx.Optimizer(model, TX, wrt=nnx.Param)

@nnx.jit
def train_step(model, optimizer, images, labels):
    grads = nnx.grad(lambda model: loss_fn(model(images), labels))(model)
    optimizer.update(model, clip(grads))
""")  # fmt: skip
LINEN = ("from flax import linen\nfrom flax.training.train_state import TrainState", "linen.Module", """
    @linen.compact
    def __call__(self, x):
        return linen.Dense(4, name="two")(jnp.tanh(linen.Dense(4, name="one")(x)))
""", """
def build():
    params = Net().init(jax.random.key(0), jnp.ones((1, 4)))["params"]
    return TrainState.create(apply_fn=Net().apply, params=params, tx=TX)

@jax.jit
def train_step(state, batch):
    x, y = batch
    loss, grads = jax.value_and_grad(lambda p: loss_fn(state.apply_fn({"params": p}, x), y))(state.params)
    return state.apply_gradients(grads=clip(grads)), loss
""")  # fmt: skip
EQUINOX = ("import equinox as eqx", "eqx.Module", """
    one: eqx.nn.Linear
    two: eqx.nn.Linear

    def __init__(self, key):
        self.one, self.two = (eqx.nn.Linear(4, 4, key=key) for key in jax.random.split(key))

    def __call__(self, x):
        return self.two(jnp.tanh(self.one(x)))
""", """
def build():
    return Net(jax.random.key(0))

def make_optimizer():
    return TX

@eqx.filter_jit
def train_step(model, opt_state, x, y):
    loss, grads = eqx.filter_value_and_grad(lambda model: loss_fn(jax.vmap(model)(x), y))(model)
    updates, opt_state = TX.update(clip(grads), opt_state)
    return loss, eqx.apply_updates(model, updates), opt_state
""")  # fmt: skip
TAPE = """
import keras
import tensorflow as tf

def build():
    one, two = keras.layers.Dense(4, "tanh", name="one"), keras.layers.Dense(4, name="two")
    return keras.Sequential([keras.Input((4,)), one, two])

loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

def make_optimizer():
    return keras.optimizers.SGD(0.1, momentum=0.9)

@tf.function
def train_step(x, y, model, optimizer):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    grads = [tf.clip_by_value(g, -0.01, 0.01) for g in tape.gradient(loss, model.trainable_variables)]
    optimizer.apply_gradients(zip(grads, model.trainable_variables))
"""
IN_TORCH = (
    TORCH
    + """
WEIGHTS = torch.ones(4)  # made while the file is loaded, as the others are

def train_step(data, target, net, opt, scale=1.0):
    opt.zero_grad()
    F.cross_entropy(net(data), target, weight=WEIGHTS).backward()
    nn.utils.clip_grad_value_(net.parameters(), 0.01)
    opt.step()
"""
)
STEPS: dict[str, tuple[str, ...] | str] = {
    "nnx": NNX, "linen": LINEN, "equinox": EQUINOX, "keras": TAPE, "torch": IN_TORCH,
}  # fmt: skip


@pytest.mark.catalogue
@pytest.mark.parametrize("api", STEPS)
def test_a_step_of_each_library_is_followed(pool: Pool, tmp_path: Path, api: str) -> None:
    """By the names of its arguments. flax's, Equinox's and Keras's were left out: what they did besides was SAME."""
    needed = {"nnx": "flax", "linen": "flax"}.get(api, api)
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    text = STEPS[api]
    if isinstance(text, tuple):
        imports, base, layers, rest = text
        text = HEAD.replace("IMPORTS", imports).replace("BASE", base).replace("    LAYERS", layers) + rest
    dropping = "F.dropout(torch.tanh(self.one(x)), 0.5, self.training)"  # which is left out of steps as well
    ours = TORCH.replace("torch.tanh(self.one(x))", dropping) if api == "nnx" else TORCH
    found = compared(pool, tmp_path, ours, text, DATA)
    assert "does not clip, B clips by value at 0.01" in found.findings[0].words(), found.text()
    assert compared(pool, tmp_path, ours, text.replace("0.01", "1e9"), DATA).same


@pytest.mark.catalogue
def test_a_step_that_cannot_be_called_is_refused(pool: Pool, tmp_path: Path) -> None:
    """It was left out without a word."""
    with pytest.raises(PortError, match="train_step takes epoch; a comparison can give model, optimizer, x, y"):
        run(pool, tmp_path, TORCH + "def train_step(epoch):\n    pass\n")


@pytest.mark.catalogue
def test_keras_trains_a_module_of_tensorflow(pool: Pool, tmp_path: Path) -> None:
    if reason := availability("tf_keras", "tensorflow"):
        pytest.skip(reason)
    right = run(pool, tmp_path, TENSORFLOW.replace("RATE", "0.1"))
    assert right.same and right.comparison.b.steps, right.text()
    found = run(pool, tmp_path, TENSORFLOW.replace("RATE", "0.3"))
    assert "learning rate: A 0.1, B 0.3" in found.findings[0].words(), found.text()
