"""A factor that one side applies at another place: no difference where both come to the same, one where they do not."""

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
RNG = np.random.default_rng(0)
DATA = {"ids": RNG.integers(0, 11, (4, 5)), "y": RNG.integers(0, 3, 4)}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    yield from pool_of(("raw_torch", "torch"))


def run(pool: Pool, folder: Path, scale: str) -> Result:
    """The embedding scales by a number in float32, or the model by `scale`: as in Gemma, of two libraries."""
    (folder / "a.py").write_text(HEAD.replace("EMBEDDING", "Scaled").replace("SCALE", "self.embed(ids)"))
    (folder / "b.py").write_text(HEAD.replace("EMBEDDING", "nn.Embedding").replace("SCALE", scale))
    return compare(folder / "a.py", folder / "b.py", DATA, pool=pool)


def test_a_factor_that_is_applied_later_is_no_difference(pool: Pool, tmp_path: Path) -> None:
    """Gemma of keras-hub and of transformers: two factors, one of them told at each place, were a false alarm."""
    found = run(pool, tmp_path, "self.embed(ids) * 6**0.5")
    assert found.verdict is Verdict.SAME_UP_TO, found.text()
    assert {finding.signature for finding in found.findings} == {"float32"}
    gradients = [outcome for outcome in found.comparison.outcomes if outcome.tensor.startswith("gradient/")]
    assert len(gradients) == len(found.comparison.links)


@pytest.mark.parametrize("scale", ["self.embed(ids)", "self.embed(ids) * 6**0.5 / 2", "self.embed(ids) * 2.4494"])
def test_a_factor_that_does_not_cancel_is_named(pool: Pool, tmp_path: Path, scale: str) -> None:
    found = run(pool, tmp_path, scale)
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
    (tmp_path / "a.py").write_text(CAST.replace("STEP", "(6 * torch.sin(layer(x).float()))"))
    (tmp_path / "b.py").write_text(CAST.replace("STEP", "(6 * torch.sin(layer(x))).float()"))
    rows = {"x": RNG.normal(size=(5, 6)).astype(np.float32).astype(np.float64)}
    found = compare(tmp_path / "a.py", tmp_path / "b.py", rows, pool=pool)
    assert found.verdict is Verdict.SAME_UP_TO, found.text()
    (tmp_path / "b.py").write_text(CAST.replace("STEP", "(6.0001 * torch.sin(layer(x))).float()"))
    assert compare(tmp_path / "a.py", tmp_path / "b.py", rows, pool=pool).verdict is Verdict.DIFFERENT
