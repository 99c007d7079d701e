"""What can't run here is skipped with a reason that names what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.runner import availability as here
from suites.runner.availability import availability


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("shim", "numpy"), ""),
        (("shim", "numpy", "cpu", "eager"), ""),
        (("shym", "numpy"), "unknown implementation 'shym': known are raw_tf, "),
        (("shim", "nunpy"), "unknown backend 'nunpy': known are numpy, "),
        (("shim", "numpy", "tpu"), "unknown device 'tpu': known are cpu, gpu"),
        (("raw_torch", "tensorflow"), "raw_torch has no backend 'tensorflow': it has torch"),
        (("shim", "numpy", "cpu", "xla"), "shim on numpy has no mode 'xla': it has eager"),
    ],
)
def test_availability_names_what_is_wrong(arguments: tuple[str, ...], reason: str) -> None:
    found = availability(*arguments)
    assert found.startswith(reason) and bool(found) == bool(reason)


def test_availability_of_what_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "_installed", lambda module: module != "keras")
    assert availability("raw_tf", "tensorflow") == ""
    assert availability("tf_keras", "tensorflow") == "keras is not installed"
    monkeypatch.setattr(here, "gpu_here", lambda: False)
    assert availability("raw_tf", "tensorflow", "gpu") == "no GPU found"
    monkeypatch.setattr(here, "gpu_here", lambda: True)
    assert availability("shim", "numpy", "gpu") == "numpy as installed here can't use a GPU"


def test_a_folder_that_an_uninstall_left_behind_is_no_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchh" / "lib").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    assert not here._installed("torchh")
    assert here._installed("numpy")
