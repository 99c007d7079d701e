"""A small model of PyTorch, by the lines of its layers and of its pass; two programs compared by their text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from suites.port.api import Result, compare
from suites.runner.workers import Pool

NET = """
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        LAYERS

    def forward(self, INPUTS):
        FORWARD

def build():
    return Net()
"""


MASK = np.ones((4, 5), bool)
MASK[0] = False  # one example is masked whole
MASK[1, 2:] = False
RNG = np.random.default_rng(0)
SEQUENCES = {"x": RNG.normal(size=(4, 5, 4)), "mask": MASK, "y": RNG.integers(0, 3, (4, 5))}
ROWS = {"x": RNG.normal(size=(3, 4))}


def program(layers: str, forward: str, inputs: str = "x") -> str:
    """A file that defines the model: statements of `__init__`, and those of `forward`, which ends with a `return`."""
    layers, forward = (text.strip().replace("\n", "\n        ") for text in (layers, forward))
    return NET.replace("LAYERS", layers).replace("INPUTS", inputs).replace("FORWARD", forward)


def linears(names: str, forward: str) -> str:
    """A model of linear layers of these names that keep the width of `ROWS`, and what `forward` returns."""
    made = "\n".join(f"self.{name} = nn.Linear(4, 4)" for name in names.split())
    return program(made, f"return {forward}")


def compared(pool: Pool, folder: Path, a: str, b: str, data: Mapping[str, np.ndarray], **options: Any) -> Result:
    """The texts of two programs, written into a folder and compared on data; `options` are those of `compare`."""
    (folder / "a.py").write_text(a)
    (folder / "b.py").write_text(b)
    return compare(folder / "a.py", folder / "b.py", data, pool=pool, **options)
