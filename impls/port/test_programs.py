"""The file of a user is run as it stands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from impls.port.base import Port
from impls.port.jax_layers import Row, row_of
from impls.port.low_precision import is_exact
from impls.port.programs import load_program


def test_a_file_that_was_changed_within_a_second_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python takes a file of the same size and second for the one that it has compiled: a mended port stayed wrong."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "model.py"
    rates = []
    for rate in (0.5, 0.9):
        path.write_text(f"RATE = {rate}\n")
        os.utime(path, (1e9, 1e9))
        rates.append(load_program(str(path)).RATE)
    assert rates == [0.5, 0.9]
    assert os.listdir(tmp_path) == ["model.py"]


def test_a_class_of_a_user_with_the_name_of_a_layer_is_none() -> None:
    """A user's `Conv` of a convolution and a norm was asked for the kernel of flax's: the model was refused."""
    rows = {"Conv": Row("conv", dict, lambda layer, shapes: [])}
    theirs = type("Conv", (), {"__module__": "flax.nnx.nn.linear"})
    assert row_of(theirs, rows) is rows["Conv"] is row_of(type("Mine", (theirs,), {}), rows)
    assert row_of(type("Conv", (), {"__module__": "model"}), rows) is None


def test_beside_images_what_has_fewer_axes_is_none_first() -> None:
    """Boxes (N, B, 4) were turned with the images, and the model was refused."""
    port: Any = SimpleNamespace(channels_first=True, layout="auto")
    images, boxes = np.zeros((2, 8, 8, 3)), np.zeros((2, 5, 4))
    assert Port.layouts(port, {"x": images, "boxes": boxes}) == [(False, 3), (True, 4), (True, 3)]
    assert Port.layouts(port, {"x": boxes}) == [(False, 3), (True, 3)]
    assert Port.layouts(port, {"ids": np.zeros((2, 5), int)}) == [(False, 3)]


def test_numbers_that_no_rounding_made_are_known() -> None:
    numbers = np.array([0.0, 1.0, -37.0, 0.25, 640.5, 0.1, 1 / 3, np.pi, 1 + 2.0**-52])
    assert is_exact(numbers).tolist() == [True] * 5 + [False] * 4
