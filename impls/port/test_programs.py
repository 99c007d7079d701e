"""The file of a user is run as it stands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

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
