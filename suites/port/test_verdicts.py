"""The verdict alone: no port with a bug is called the same, no right one a different model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from suites.port.api import compare
from suites.port.testing.nets import ROWS, SEQUENCES, compared, linears, program
from suites.port.verdict import Verdict
from suites.runner.availability import availability
from suites.runner.workers import Pool

SCORES = "self.q(x) @ self.k(x).mT / 2"
OTHER_SCORES = "torch.einsum('bqd,bkd->bqk', self.q(x) * 0.5, self.k(x))"
MASKS = ("-torch.inf", "-1e9", "torch.finfo(torch.float64).min")
MASKED = """
s = SCORES
s = s.masked_fill(~mask[:, None, :], MASK)
return s.softmax(-1) @ self.v(x)
"""


def attention(scores: str, mask: str) -> str:
    layers = "self.q, self.k, self.v = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)"
    return program(layers, MASKED.replace("SCORES", scores).replace("MASK", mask), inputs="x, mask")


@pytest.mark.parametrize("mask", MASKS)
def test_an_example_that_is_masked_whole_is_no_difference(pool: Pool, tmp_path: Path, mask: str) -> None:
    """NaN on both sides in the same places, or the mean of the values: a right port stays the same."""
    found = compared(pool, tmp_path, attention(SCORES, mask), attention(OTHER_SCORES, mask), SEQUENCES)
    assert found.verdict is Verdict.SAME, found.text()


def test_nan_on_one_side_only_is_a_difference(pool: Pool, tmp_path: Path) -> None:
    """The classic: -inf gives NaN in a row that is masked whole, -1e9 the mean."""
    found = compared(pool, tmp_path, attention(SCORES, "-torch.inf"), attention(SCORES, "-1e9"), SEQUENCES)
    assert found.verdict is Verdict.DIFFERENT
    difference = found.comparison.differences[0]
    assert np.isnan(difference.a) and np.isfinite(difference.b), difference.words()


def test_nothing_but_nan_is_undecided(pool: Pool, tmp_path: Path) -> None:
    """Two models that give no number are not shown to be the same."""
    nan = linears("one", "self.one(x) * torch.nan")
    found = compared(pool, tmp_path, nan, nan, ROWS)
    assert found.verdict is Verdict.UNDECIDED and "holds no number" in found.text()


POINTER = program(
    "self.q, self.norm = nn.Linear(4, 4), nn.LayerNorm(4, eps=1e-6)",
    "return self.norm(self.q(x)).masked_fill(~mask[:, :, None], torch.finfo(torch.float32).min)",
    inputs="x, mask",
)


def test_masks_in_an_output_do_not_hide_the_rest(pool: Pool, tmp_path: Path) -> None:
    """Beside a number of 3e38 everything else would be rounding: the rest is compared without it."""
    found = compared(pool, tmp_path, POINTER, POINTER.replace("1e-6", "1.001e-6"), SEQUENCES)
    assert found.verdict is Verdict.DIFFERENT, found.text()
    assert compared(pool, tmp_path, POINTER, POINTER, SEQUENCES).verdict is Verdict.SAME


EXPORTED = """
import torch
from a import Net

def program(model):
    free = torch.export.Dim("n", min=2, max=8)
    return torch.export.export(model.eval(), (torch.ones(4, 3, 8, 8),), dynamic_shapes=({0: free},))

def build():
    return program(Net())

def other():
    model = Net()
    model.norm.eps = 1e-3
    return program(model)
"""
IMAGES = program(
    """
self.conv = nn.Conv2d(3, 6, 3, groups=3)
self.norm = nn.BatchNorm2d(6)
self.square = nn.Linear(6, 6)
self.drop = nn.Dropout(0.5)
""",
    """
x = torch.relu(self.norm(self.conv(x)))
return self.drop(torch.tanh(self.square(x.mean((2, 3)))))
""",
)


@pytest.mark.full
def test_a_program_of_torch_export_is_compared_by_the_weights_of_its_modules(pool: Pool, tmp_path: Path) -> None:
    """A square kernel lies as that of its Linear, a depthwise one as that of its Conv2d, though both are gone."""
    images = {"x": np.random.default_rng(0).normal(size=(4, 8, 8, 3))}
    found = compared(pool, tmp_path, IMAGES, EXPORTED, images)
    assert found.verdict is Verdict.SAME, found.text()
    other = compare(tmp_path / "a.py", f"{tmp_path / 'b.py'}:other", images, pool=pool)
    assert "epsilon of BatchNorm: A 1e-05, B 0.001" in other.findings[0].words()


LRN_A = """
import numpy as np
import tensorflow as tf

class Net:
    params = {"fc": {"kernel": np.ones((3, 8))}}

    def forward(self, params, x):
        x = x @ params["fc"]["kernel"]
        x = tf.nn.local_response_normalization(x[:, None, None, :], depth_radius=2, bias=1.0, alpha=0.5, beta=0.75)
        return x[:, 0, 0]

def build():
    return Net()
"""
LRN_B = program(
    "self.fc, self.norm = nn.Linear(3, 8, bias=False), nn.LocalResponseNorm(5, alpha=ALPHA, beta=0.75, k=1.0)",
    "return self.norm(self.fc(x)[:, :, None])[:, :, 0]",
)


@pytest.mark.full
@pytest.mark.catalogue
def test_local_response_normalisation_is_computed_where_tensorflow_has_no_kernel(pool: Pool, tmp_path: Path) -> None:
    """In float64; torch divides alpha by the size, which is named by its number."""
    if reason := availability("raw_tf", "tensorflow"):
        pytest.skip(reason)
    data = {"x": np.random.default_rng(0).normal(size=(7, 3))}
    for alpha, verdict in ((2.5, Verdict.SAME), (0.5, Verdict.DIFFERENT)):
        found = compared(pool, tmp_path, LRN_A, LRN_B.replace("ALPHA", str(alpha)), data)
        assert found.verdict is verdict, found.text()
    assert "A 1/2, B 1/10" in found.findings[0].words(), found.text()
