"""What a file is written in, by what it imports and defines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from suites.port import files

FUNCTIONS = """
import tensorflow as tf

class Net:
    params = {}

    def forward(self, params, x):
        return x

def build():
    return Net()

def loss_fn(logits, y):
    return tf.keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
"""
MODEL = """
import tensorflow as tf

def build():
    return tf.keras.Sequential([tf.keras.layers.Dense(3)])
"""


@pytest.mark.parametrize("text, api", [(FUNCTIONS, "functions"), (MODEL, "keras")], ids=["functions", "model"])
def test_a_loss_of_keras_makes_no_model_of_keras(tmp_path: Path, text: str, api: str) -> None:
    """Functions of TensorFlow may take a loss from Keras: they were refused for not being a keras.Model."""
    path = tmp_path / "a.py"
    path.write_text(text)
    try:
        assert files.read(str(path)).api == api
    except files.PortError as error:
        pytest.skip(str(error))  # no TensorFlow here


DECODER = """
from torch import nn

class Loss(nn.Module):
    def forward(self, logits, target):
        return logits

class Net(nn.Module):
    def forward(self, source, TARGET, scale=1):
        return source

def build():
    return Net()
"""


@pytest.mark.parametrize("name, labels", [("target", False), ("text", True)])
def test_what_a_model_takes_is_an_input_whatever_it_is_called(tmp_path: Path, name: str, labels: bool) -> None:
    """A decoder takes a target: it was kept from it as labels. What only a loss takes stays labels."""
    path = tmp_path / "a.py"
    path.write_text(DECODER.replace("TARGET", name))
    given = {"source": np.zeros((2, 3)), "text": np.zeros((2, 3)), "target": np.zeros((2, 3))}
    found = files.data(given, files.calls(files.File(str(path), "torch", "torch")))
    assert (found.labels is not None) is labels
    assert ("target" in found.inputs) is not labels


def test_what_only_pickle_reads_is_refused_with_the_way_out() -> None:
    """torch.export.load runs what a file holds: the program has to come from a function of the user's."""
    with pytest.raises(files.PortError, match=r"^model.pt2: .*unpickles.* return it from a function$"):
        files.read("model.pt2")


def test_a_file_is_written_in_what_its_own_package_imports(tmp_path: Path) -> None:
    """A program that takes its model from a package beside it, with relative imports inside, imports no framework."""
    package = tmp_path / "models" / "vision"
    package.mkdir(parents=True)
    (tmp_path / "a.py").write_text("from models import create_model\n\ndef build():\n    return create_model(3)\n")
    (package.parent / "__init__.py").write_text("from .vision.net import create_model\n")
    (package / "__init__.py").write_text("")
    (package / "net.py").write_text("from ..layers import Block\nfrom . import missing\n")
    assert files.read(str(tmp_path / "a.py")).api == "functions"
    (package.parent / "layers.py").write_text("import torch\n\nclass Block(torch.nn.Module):\n    pass\n")
    try:
        assert files.read(str(tmp_path / "a.py")).api == "torch"
    except files.PortError as error:
        pytest.skip(str(error))  # no PyTorch here
