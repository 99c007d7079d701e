"""Kinds of bugs that were found and not named, and of factors that are none: each in a small model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from suites.port.api import Result
from suites.port.testing.nets import compared, program
from suites.port.verdict import Verdict
from suites.runner.workers import Pool

pytestmark = pytest.mark.full
RNG = np.random.default_rng(0)


def run(pool: Pool, folder: Path, a: str, b: str, *shape: int) -> Result:
    return compared(pool, folder, a, b, {"x": RNG.normal(size=shape)})


EXPERTS = "self.router = nn.Linear(4, 3, bias=False)\nself.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))"
ROUTED = """
weights, chosen = self.router(x).softmax(-1).topk(2, dim=-1)
weights = weights / weights.sum(-1, keepdim=True)
out = torch.zeros_like(x)
for i, expert in enumerate(self.experts):
    token, place = torch.where(chosen == i)
    out = out.index_add(0, token, weights[token, place, None] * torch.tanh(expert(x[token])))
return out
"""
DENSE = """
weights, chosen = self.router(x).softmax(-1).topk(2, dim=-1)
weights = weights / weights.sum(-1, keepdim=True)
gates = (F.one_hot(chosen, 3) * weights[..., None]).sum(-2)
return torch.einsum("te,etd->td", gates, torch.stack([torch.tanh(expert(x)) for expert in self.experts]))
"""


def test_gates_of_experts_for_some_tokens_are_compared_with_those_of_all(pool: Pool, tmp_path: Path) -> None:
    """The first expert, which one side gives some of the tokens, was told to be what differs."""
    routed = program(EXPERTS, ROUTED)
    assert run(pool, tmp_path, routed, program(EXPERTS, DENSE), 9, 4).verdict is Verdict.SAME
    plain = DENSE.replace("weights = weights / weights.sum(-1, keepdim=True)\n", "")
    found = run(pool, tmp_path, routed, program(EXPERTS, plain), 9, 4)
    assert [each.words() for each in found.findings] == [
        "weights of the 2 chosen: A divided by their own sum (renormalised), B as top-k gives them"
    ], found.text()


ATTENTION = """
def heads(y):
    return y.view(*y.shape[:2], 2, 6).transpose(1, 2)

def turn(y, scale):
    half = torch.arange(3, dtype=y.dtype)
    angles = torch.arange(y.shape[2], dtype=y.dtype)[:, None] / scale * 1e4 ** (-half / 3)
    one, two = y[..., :3], y[..., 3:]
    parts = one * angles.cos() - two * angles.sin(), two * angles.cos() + one * angles.sin()
    return torch.cat(parts, -1)

q, k, v = (heads(layer(x)) for layer in (self.q, self.k, self.v))
q, k = turn(self.norm_q(q), 2), turn(self.norm_k(k), 2)
y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
return self.o(y.transpose(1, 2).reshape(x.shape))
"""
LAYERS = """
self.q, self.k, self.v, self.o = (nn.Linear(12, 12) for _ in range(4))
self.norm_q, self.norm_k = nn.RMSNorm(6, eps=1e-6), nn.RMSNorm(6, eps=1e-6)
"""
CACHED = """
q, k, v = (layer(x) for layer in (self.q, self.k, self.v))
past = torch.sin(x)
k, v = torch.cat([past, k], 1), torch.cat([past * 2, v], 1)
mask = torch.ones(x.shape[1], k.shape[1], dtype=torch.bool).tril(x.shape[1])
return self.o(F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
"""
SCALED = "self.up, self.down = nn.Linear(6, 8), nn.Linear(8, 6)\nself.gamma = nn.Parameter(torch.full((6,), 0.3))"
CELL = """
h = c = x.new_zeros(x.shape[0], 4)
for step in range(x.shape[1]):
    i, f, g, o = self.cell(torch.cat([x[:, step], h], 1)).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
return self.out(h)
"""
KINDS = {
    "rotary scale": (
        LAYERS, ATTENTION, "turn(self.norm_k(k), 2)", "turn(self.norm_k(k), 1)",
        "rotary positions: A pairs of halves, base 1e+04, positions divided by 2, "
        "B pairs of halves, base 1e+04",
    ),
    "place of a rotation": (
        LAYERS, ATTENTION, "turn(self.norm_q(q), 2), turn(self.norm_k(k), 2)",
        "self.norm_q(turn(q, 2)), self.norm_k(turn(k, 2))",
        "place of the rotary positions: A behind norm_q and norm_k (pairs of halves, base 1e+04, positions divided "
        "by 2), B before norm_q and norm_k",
    ),
    "cache": (
        LAYERS, CACHED, "torch.cat([past, k], 1), torch.cat([past * 2, v], 1)",
        "torch.cat([k, past], 1), torch.cat([v, past * 2], 1)",
        "parts of concatenate (a.py:15) and of concatenate (a.py:15): A in order, B in the order 2, 1",
    ),
    "place of a scale": (
        SCALED, "y = self.down(torch.tanh(self.up(x)))\nreturn x + self.gamma * y", "x + self.gamma * y",
        "self.gamma * (x + y)", "place of the scale gamma (a.py:14): A on what is added alone, B on the sum",
    ),
    "pool before a norm": (
        "self.norm, self.out = nn.LayerNorm(12), nn.Linear(12, 3)", "return self.out(self.norm(x.mean(1)))",
        "self.norm(x.mean(1))", "self.norm(x).mean(1)", "A applies mean here, B applies nothing",
    ),
    "idle activation": (
        "self.one, self.two = nn.Linear(12, 12), nn.Linear(12, 3)", "return self.two(F.silu(self.one(x).abs()))",
        "F.silu(self.one(x).abs())", "F.relu(self.one(x).abs())",
        "A applies silu here, B applies relu, which changes nothing on these data",
    ),
    "gates": (
        "self.cell, self.out = nn.Linear(10, 16), nn.Linear(4, 3)", CELL, "torch.sigmoid(", "F.hardsigmoid(",
        "activation at 2 places and what follows them: A sigmoid, B the hard sigmoid x/6 + 0.5",
    ),
}  # fmt: skip


RARE = ("rotary scale", "place of a scale")  # that other tests show as well
MARKED = [pytest.param(kind, marks=pytest.mark.catalogue if kind in RARE else ()) for kind in KINDS]


@pytest.mark.parametrize("kind", MARKED)
def test_a_kind_is_named(pool: Pool, tmp_path: Path, kind: str) -> None:
    """First of what is found; beside itself the model is the same."""
    layers, forward, old, new, words = KINDS[kind]
    a = program(layers, forward)
    assert old in a
    width = {"place of a scale": 6, "gates": 6}.get(kind, 12)
    found = run(pool, tmp_path, a, a.replace(old, new), 3, 5, width)
    assert found.verdict is Verdict.DIFFERENT
    assert found.findings[0].words() == words, found.text()


FOCAL = """

def loss_fn(logits, y):
    p = F.log_softmax(logits, -1).gather(1, y[:, None])[:, 0]
    return (-((1 - p.exp()) ** 2.0) * p).mean()
"""


def test_the_weight_of_a_focal_loss_is_named(pool: Pool, tmp_path: Path) -> None:
    """A constant that is another one, 1 or 0, was all that was said."""
    a = program("self.out = nn.Linear(4, 3)", "return self.out(x)") + FOCAL
    data = {"x": RNG.normal(size=(5, 4)), "y": RNG.integers(0, 3, 5)}
    found = compared(pool, tmp_path, a, a.replace("(1 - p.exp())", "p.exp()"), data)
    words = "weight of a focal loss (a.py:20): A (1 - p) ** 2, B p ** 2"
    assert [each.words() for each in found.findings] == [words], found.text()


GEMMA = """
import torch
from torch import nn

class Scaled(nn.Embedding):
    def forward(self, ids):
        return super().forward(ids) * torch.tensor(6.0**0.5, dtype=torch.float32)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = EMBEDDING(11, 6)
        self.norm = nn.Parameter(torch.ones(6))
        self.dense = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, ids):
        x = SCALE
        y = x.float()
        y = (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype) * self.norm
        return self.head(torch.tanh(x + self.dense(y))).mean(1)

def build():
    return Net()

loss_fn = nn.functional.cross_entropy
"""
IDS = {"ids": RNG.integers(0, 11, (4, 5)), "y": RNG.integers(0, 3, 4)}


def scaled(pool: Pool, folder: Path, scale: str) -> Result:
    """The embedding scales by a number in float32, or the model by `scale`: as in Gemma, of two libraries."""
    a = GEMMA.replace("EMBEDDING", "Scaled").replace("SCALE", "self.embed(ids)")
    b = GEMMA.replace("EMBEDDING", "nn.Embedding").replace("SCALE", scale)
    return compared(pool, folder, a, b, IDS)


def test_a_factor_that_is_applied_later_is_no_difference(pool: Pool, tmp_path: Path) -> None:
    """Gemma of keras-hub and of transformers: two factors, one of them told at each place, were a false alarm."""
    found = scaled(pool, tmp_path, "self.embed(ids) * 6**0.5")
    assert found.verdict is Verdict.SAME_UP_TO, found.text()
    assert {finding.signature for finding in found.findings} == {"float32"}
    gradients = [outcome for outcome in found.comparison.outcomes if outcome.tensor.startswith("gradient/")]
    assert len(gradients) == len(found.comparison.links)


OTHER_SCALES = [
    "self.embed(ids)",
    pytest.param("self.embed(ids) * 6**0.5 / 2", marks=pytest.mark.catalogue),
    pytest.param("self.embed(ids) * 2.4494", marks=pytest.mark.catalogue),
]


@pytest.mark.parametrize("scale", OTHER_SCALES)
def test_a_factor_that_does_not_cancel_is_named(pool: Pool, tmp_path: Path, scale: str) -> None:
    found = scaled(pool, tmp_path, scale)
    assert found.verdict is Verdict.DIFFERENT
    told = [finding for finding in found.findings if not finding.released]
    assert told and "factor" in told[0].words(), found.text()


CAST = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(4))

    def forward(self, x):
        for layer in self.layers:
            x = STEP.double()
        return x

def build():
    return Net()
"""


def test_a_cast_to_float32_on_both_sides_hides_no_rounding(pool: Pool, tmp_path: Path) -> None:
    """Errors of float64 are lost in a cast: measured by them, two models that round otherwise were DIFFERENT."""
    a = CAST.replace("STEP", "(6 * torch.sin(layer(x).float()))")
    b = CAST.replace("STEP", "(6 * torch.sin(layer(x))).float()")
    rows = {"x": RNG.normal(size=(5, 6)).astype(np.float32).astype(np.float64)}
    found = compared(pool, tmp_path, a, b, rows)
    assert found.verdict is Verdict.SAME_UP_TO, found.text()
    other = CAST.replace("STEP", "(6.0001 * torch.sin(layer(x))).float()")
    assert compared(pool, tmp_path, a, other, rows).verdict is Verdict.DIFFERENT


NORM_AND_ACTIVATION = """
import torch
import torch.nn.functional as F
from torch import nn

class NormAct(nn.BatchNorm2d):
    def __init__(self, n):
        super().__init__(n, eps=EPSILON)
        self.act = nn.ReLU6()

    def forward(self, x):
        moving = self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        return self.act(F.batch_norm(x, *moving))

def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), NormAct(4), nn.Conv2d(4, 2, 3))
"""


def test_an_activation_inside_of_a_norm_is_a_layer_of_its_own(pool: Pool, tmp_path: Path) -> None:
    """timm's BatchNormAct2d: an epsilon was not recognised, and the activation was told as missing elsewhere."""
    apart = program(
        "self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-3), nn.ReLU6(), nn.Conv2d(4, 2, 3))",
        "return self.net(x)",
    )
    same = run(pool, tmp_path, apart, NORM_AND_ACTIVATION.replace("EPSILON", "1e-3"), 2, 3, 6, 6)
    assert same.verdict is Verdict.SAME, same.text()
    other = run(pool, tmp_path, apart, NORM_AND_ACTIVATION.replace("EPSILON", "1e-5"), 2, 3, 6, 6)
    assert sorted({finding.words() for finding in other.findings}) == ["epsilon of BatchNorm: A 0.001, B 1e-05"]
