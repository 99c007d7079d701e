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

    def forward(self, x):
        FORWARD

def build():
    return Net()
"""


def program(layers: str, forward: str) -> str:
    """A file that defines the model: statements of `__init__`, and those of `forward`, which ends with a `return`."""
    indented = (text.strip().replace("\n", "\n        ") for text in (layers, forward))
    return NET.replace("LAYERS", next(indented)).replace("FORWARD", next(indented))


def compared(pool: Pool, folder: Path, a: str, b: str, data: Mapping[str, np.ndarray], **options: Any) -> Result:
    """The texts of two programs, written into a folder and compared on data; `options` are those of `compare`."""
    (folder / "a.py").write_text(a)
    (folder / "b.py").write_text(b)
    return compare(folder / "a.py", folder / "b.py", data, pool=pool, **options)
