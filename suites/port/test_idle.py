"""What the data never let through to an output is said beside SAME, and only that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from suites.port.testing.nets import compared, program
from suites.runner.workers import Pool

pytestmark = pytest.mark.full

DATA = {"x": np.random.default_rng(0).integers(1, 7, (4, 5))}
LAYERS = "self.table, self.one = nn.Embedding(7, 4), nn.Linear(4, 4)"
PLAIN = program(LAYERS, "return F.softplus(self.one(self.table(x).mean(1)))")
MASK = "m = (x != 0)[..., None].to(self.one.weight.dtype)\n"
MASKED = program(LAYERS, MASK + "return F.softplus(self.one((self.table(x) * m).mean(1)))")
RELU = program(LAYERS, "return F.relu(F.softplus(self.one(self.table(x).mean(1))))")


NOTE = "only A has what changes nothing on these data: "


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (MASKED, NOTE + "multiply"),
        pytest.param(RELU, NOTE + "relu", marks=pytest.mark.catalogue),
    ],
)
def test_what_these_data_never_show_is_a_note(pool: Pool, tmp_path: Path, source: str, words: str) -> None:
    found = compared(pool, tmp_path, source, PLAIN, DATA)
    assert found.same and words in found.text(), found.text()
    both = compared(pool, tmp_path, source, source, DATA)
    assert both.same and "changes nothing" not in both.text(), both.text()
