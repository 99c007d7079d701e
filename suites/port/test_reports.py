"""What a comparison leaves behind: a page, and the smallest program that shows the first cause."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suites.port import html, reproduce
from suites.port.api import Result, compare
from suites.port.errors import PortError

TORCH = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(8, 16)
        self.norm = nn.LayerNorm(16, eps=EPSILON)
        self.down = nn.Linear(16, 3)

    def forward(self, x):
        return self.down(self.norm(self.up(x)))

def build():
    return Net()

def loss_fn(logits, y):
    return F.cross_entropy(logits, y, reduction="REDUCTION")
"""
DATA = {"x": np.random.default_rng(0).normal(size=(6, 8)), "y": np.arange(6) % 3}
FINDING: dict[str, Any] = {
    "phase": "inference",
    "place_a": "norm",
    "place_b": "ln",
    "line_a": "a.py:2",
    "line_b": "",
    "words": "epsilon of LayerNorm: A 1e-05, B <0.001>",
    "released": "",
    "difference": {"tensor": "output/inference/out", "index": (1, 2), "a": 1.5, "b": 1.25, "relative": 0.1,
                   "bound": 1e-15, "shapes": ((6, 3), (6, 3))},
}  # fmt: skip


def document(folder: Path) -> dict[str, Any]:
    """A record of `report` with one finding."""
    (folder / "a.py").write_text("one\nx < 2 & y\nthree\n")
    side = {"path": str(folder / "a.py"), "api": "torch", "backend": "torch"}
    return {
        "verdict": "DIFFERENT", "a": side, "b": {**side, "path": "b.py"}, "compared": 7, "worst_share_of_bound": 0.25,
        "links": [["norm.weight", "ln/gamma"]], "notes": ["6 weights"], "findings": [FINDING],
    }  # fmt: skip


class Text(HTMLParser):
    """The words of a page, and whether every tag that was opened is closed."""

    def __init__(self, page: str):
        super().__init__()
        self.words = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        assert tag != "script"
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_has_the_verdict_the_numbers_and_the_users_lines(tmp_path: Path) -> None:
    """Names and code of a user are shown as they are, not read as HTML."""
    page = Text(html.page(document(tmp_path)))
    assert not page.open
    shown = " ".join(page.words.split())
    for words in (
        "DIFFERENT",
        "epsilon of LayerNorm: A 1e-05, B <0.001>",
        "out[1, 2]",
        "1.25",
        "2 x < 2 & y",
        "ln/gamma",
    ):
        assert words in shown, words


def compared(folder: Path, epsilon: float = 1e-5, reduction: str = "mean") -> Result:
    source = TORCH.replace("EPSILON", "1e-5").replace("REDUCTION", "mean")
    (folder / "a.py").write_text(source)
    (folder / "b.py").write_text(source.replace("1e-5", str(epsilon)).replace("mean", reduction))
    return compare(folder / "a.py", folder / "b.py", DATA)


@pytest.mark.full
@pytest.mark.parametrize("bug", [{"epsilon": 1e-3}, {"reduction": "sum"}], ids=["layer", "loss"])
@pytest.mark.catalogue
def test_the_program_shows_the_first_cause_alone(tmp_path: Path, bug: dict[str, Any]) -> None:
    """Whoever gets it needs neither the models nor Triptych."""
    pytest.importorskip("torch")
    found = compared(tmp_path, **bug)
    program = tmp_path / "smallest.py"
    reproduce.write(str(program), found.comparison, found.findings)
    assert len(program.read_text().splitlines()) < 60
    done = subprocess.run([sys.executable, "-I", str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == reproduce.SHOWS, done.stderr
    assert "is the largest difference" in done.stdout


@pytest.mark.full
def test_nothing_to_reproduce_is_said(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    found = compared(tmp_path)
    with pytest.raises(PortError, match="nothing differs"):
        reproduce.write(str(tmp_path / "x.py"), found.comparison, found.findings)
    assert not (tmp_path / "x.py").exists()
