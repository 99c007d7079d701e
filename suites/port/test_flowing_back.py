"""Gradients that a user wrote: a port that computes the same and learns otherwise is told where, and how."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from suites.port.testing.nets import compared, program
from suites.runner.workers import Pool

pytestmark = pytest.mark.full

RNG = np.random.default_rng(0)
DATA = {"x": RNG.normal(size=(6, 4)), "y": RNG.integers(0, 4, 6)}
RULE = """
class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return BACKWARD
"""
LOSS = "\ndef loss_fn(z, y):\n    return F.cross_entropy(z, y)\n"
LAYERS = "self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)"


def own(backward: str) -> str:
    """A model with a function that has this gradient, on one of two branches."""
    forward = "h = torch.tanh(self.one(x))\nreturn self.two(Own.apply(h)) + h"
    return program(LAYERS, forward) + RULE.replace("BACKWARD", backward) + LOSS


RULES = {
    "-0.5 * g": "multiplies it by -0.5",
    "g.clamp(-0.01, 0.01)": "clips it at 0.01 by value",
    "g * (x.abs() <= 0.5)": "passes it on where |x| <= 0.5",
}


RARE = pytest.mark.catalogue  # the same way by another rule, engine or fault


@pytest.mark.parametrize("backward", [pytest.param(rule, marks=RARE if at else ()) for at, rule in enumerate(RULES)])
def test_a_gradient_of_the_users_own_is_measured(pool: Pool, tmp_path: Path, backward: str) -> None:
    """The branch beside it does not hide what the function makes of the gradient that reaches it."""
    found = compared(pool, tmp_path, own("g"), own(backward), DATA)
    assert [finding.signature for finding in found.findings] == ["backward_rule"], found.text()
    assert f"A passes it on as it is, B {RULES[backward]}" in found.findings[0].words()


TERMS = """
def loss_fn(z, y):
    p, q = z
    return {} * ((p.detach() - q) ** 2).mean() + {} * ((p - q.detach()) ** 2).mean()
"""


@RARE
def test_terms_of_a_loss_that_are_stopped_at_the_wrong_place(pool: Pool, tmp_path: Path) -> None:
    """Both losses are one number, and so are both models: only what flows back differs."""
    model = program(LAYERS, "return self.one(x), self.two(x)")
    found = compared(pool, tmp_path, model + TERMS.format(1.0, 0.25), model + TERMS.format(0.25, 1.0), DATA)
    words = found.findings[0].words()
    assert "out[0] is 4 times A's" in words and "out[1] is 0.25 times A's" in words, found.text()


ROUNDED = (
    program(LAYERS, "h = torch.tanh(self.one(x))\nreturn self.two(h + (torch.round(h * 8) / 8 - h).detach())") + LOSS
)
JAX = """
import jax
import jax.numpy as jnp

@jax.custom_vjp
def rounded(x):
    return jnp.round(x * 8) / 8

rounded.defvjp(lambda x: (rounded(x), None), lambda _, g: (BACKWARD,))

class Model:
    params = {name: {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)} for name in ("one", "two")}

    def forward(self, params, x):
        x = rounded(jnp.tanh(x @ params["one"]["kernel"] + params["one"]["bias"]))
        return x @ params["two"]["kernel"] + params["two"]["bias"]

def build():
    return Model()

def loss_fn(z, y):
    return -jax.nn.log_softmax(z)[jnp.arange(len(y)), y].mean()
"""


@RARE
def test_a_straight_through_estimator_in_jax(pool: Pool, tmp_path: Path) -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    assert compared(pool, tmp_path, ROUNDED, JAX.replace("BACKWARD", "g"), DATA).same
    found = compared(pool, tmp_path, ROUNDED, JAX.replace("BACKWARD", "0 * g"), DATA)
    assert "A passes it on as it is, B lets none through" in found.findings[0].words(), found.text()


CENTRE = """
h = torch.tanh(self.one(x))
if self.training:
    with torch.no_grad():
        self.centre.mul_(KEPT).add_(h.mean(0), alpha=1 - KEPT)
return self.two(h - self.centre)
"""


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("0.99", "B takes 0.01 of the new value"),
        pytest.param("0.1", "changed places", marks=RARE),
    ],
)
def test_a_running_number_of_the_users_own_is_told_by_its_momentum(
    pool: Pool, tmp_path: Path, kept: str, words: str
) -> None:
    """The pass in training reads it, and differs: that follows, and was told as another input of a layer."""
    layers = LAYERS + "\nself.register_buffer('centre', torch.zeros(4))"
    a, b = (program(layers, CENTRE.replace("KEPT", each)) for each in ("0.9", kept))
    found = compared(pool, tmp_path, a + LOSS, b + LOSS, DATA).findings[0]
    assert found.signature == "buffer_momentum" and words in found.words(), found.words()


NORM = program("self.one, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)", "return self.norm(self.one(x))") + LOSS
TRAINED = """
def make_optimizer(net):
    return torch.optim.SGD(net.parameters(), lr=0.1)

def train_step(net, optimizer, x, y):
    LOGGED
    optimizer.zero_grad()
    loss_fn(net(x), y).backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("logged", "words"),
    [
        ("net(x)", "B move twice"),
        pytest.param("net.eval()", "B stay as they are", marks=RARE),
    ],
)
def test_statistics_that_a_step_moves_twice_or_never(pool: Pool, tmp_path: Path, logged: str, words: str) -> None:
    """A step that runs the model for its log as well: each pass by itself was the same, and so was the update."""
    a, b = (NORM + TRAINED.replace("LOGGED", text) for text in ("pass", logged))
    found = compared(pool, tmp_path, a, b, DATA)
    assert any(words in each.words() for each in found.findings), found.text()
    assert compared(pool, tmp_path, b, b, DATA).same
