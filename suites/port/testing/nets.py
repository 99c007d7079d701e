"""A small model of PyTorch, by the lines of its layers and of its pass."""

from __future__ import annotations

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
