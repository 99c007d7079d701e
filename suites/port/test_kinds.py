"""Kinds of bugs that were found and not named: each in a small model, beside a port without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from suites.port.api import Result, compare
from suites.port.testing.pools import pool_of
from suites.port.verdict import Verdict
from suites.runner.workers import Pool

pytestmark = pytest.mark.full
HEAD = """
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        LAYERS

    def forward(self, x):
        FORWARD

def build():
    return Net()
"""
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    yield from pool_of(("raw_torch", "torch"))


def program(layers: str, forward: str) -> str:
    indented = (text.strip().replace("\n", "\n        ") for text in (layers, forward))
    return HEAD.replace("LAYERS", next(indented)).replace("FORWARD", next(indented))


def run(pool: Pool, folder: Path, a: str, b: str, *shape: int) -> Result:
    (folder / "a.py").write_text(a)
    (folder / "b.py").write_text(b)
    return compare(folder / "a.py", folder / "b.py", {"x": RNG.normal(size=shape)}, pool=pool)


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
        "division by its own sum (a.py:14): A computes it, B leaves it out"
    ], found.text()
