"""Comparing models from a user's own code and tests: what is said, where, and the command that shows it alone."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import triptych
from triptych import tree

A = """
from triptych import shim


def build():
    layers = [shim.Dense(5, name="hidden"), shim.BatchNorm(epsilon=1e-3, name="bn"), shim.Dense(3, name="logits")]
    return shim.Sequential(layers, inputs=(4,), backend="numpy")
"""
SQUARE = """
from torch import nn


class Square(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(4, 3)

    def forward(self, x):
        y = self.dense(x)
        return y * y


def build():
    return Square()
"""
X = np.random.default_rng(0).normal(size=(6, 4))
TEST = """
import numpy as np
from triptych import assert_same_model as imported

X = np.arange(24.0).reshape(6, 4) / 7

def test_same(assert_same_model):
    assert_same_model("a.py", "a.py", X)

def test_different(assert_same_model):
    assert_same_model("a.py", "b.py", X)

def test_imported():
    imported("a.py", "b.py", X)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a model and a port of it that has a bug."""
    (tmp_path / "a.py").write_text(A)
    (tmp_path / "b.py").write_text(A.replace("1e-3", "1e-5"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_bug_is_named_with_its_place_in_every_form(folder: Path) -> None:
    result = triptych.compare_models("a.py", "b.py", X)
    assert not result.same and not result and result.verdict == "DIFFERENT"
    (finding,) = (item for item in result.findings if item.signature == "epsilon")
    assert finding.place == "bn" and "0.001" in finding.words and "1e-05" in finding.words
    for text in (str(result), repr(result), result.to_json(), result._repr_html_()):
        assert "epsilon" in text
    assert json.loads(result.to_json())["findings"][0]["signature"] == "epsilon"


def test_a_function_of_a_file_is_named_behind_a_colon(folder: Path) -> None:
    """Two versions of a model in one file are compared as well."""
    new = A.replace("def build", "def better").partition("\n\n\n")[2].replace("1e-3", "1e-5")
    (folder / "both.py").write_text(f"{A}\n\n{new}")
    assert triptych.compare_models("both.py:build", "both.py", X)
    result = triptych.compare_models("both.py", "both.py:better", X)
    assert result.findings[0].signature == "epsilon" and "both.py:better" in str(result)
    with pytest.raises(ValueError, match=r"both.py: defines no best\(\)"):
        triptych.compare_models("both.py", "both.py:best", X)


def test_the_same_model_passes(folder: Path) -> None:
    triptych.assert_same_model("a.py", "a.py", X)
    assert triptych.compare_models(Path("a.py"), "a.py", X).findings == ()


def test_a_type_that_cannot_be_compared_is_one_line(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"--dtype float8: unknown type: known are"):
        triptych.compare_models("a.py", "a.py", X, dtype="float8")
    with pytest.raises(ValueError, match=r"a model in memory runs in float64; for dtype='float32' give the path"):
        triptych.compare_models(types.SimpleNamespace(params={}, forward=print), "a.py", X, dtype="float32")


@pytest.mark.full
def test_a_type_is_compared_as_well(folder: Path) -> None:
    """As the command line's --dtype: what a lower type breaks is a difference, with the type as its phase."""
    pytest.importorskip("torch")
    (folder / "a.py").write_text(SQUARE)
    (folder / "b.py").write_text(SQUARE.replace("y * y", "(y * 1e4) ** 2 / 1e8"))
    broken = triptych.compare_models("a.py", "b.py", X, dtype="float16")
    assert "SAME: 2 tensors agree" in str(broken)
    (finding,) = broken.findings
    assert (broken.verdict, finding.phase, finding.signature) == ("DIFFERENT", "float16", "overflow"), str(broken)
    assert "float16 ends at 65504" in finding.words


def test_what_cannot_be_compared_is_no_difference(folder: Path) -> None:
    """A test that fails for a missing file must not read as a model that differs."""
    with pytest.raises(ValueError, match=r"missing.py: can't be read"):
        triptych.assert_same_model("missing.py", "b.py", X)
    with pytest.raises(ValueError, match="x has 6 examples and y has 5"):
        triptych.compare_models("a.py", "b.py", X, np.zeros(5))


def run_tests(folder: Path, *words: str) -> str:
    (folder / "test_port.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-p", "triptych.pytest_plugin", "-q", "test_port.py", *words]
    done = subprocess.run(command, cwd=folder, env=tree.environment(), capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="one process"),
        pytest.param(("-n", "2"), id="xdist", marks=[pytest.mark.full, pytest.mark.catalogue]),
    ],
)
def test_the_plugin_fails_with_the_cause_on_top_and_a_command_that_shows_it_alone(
    folder: Path, words: tuple[str, ...]
) -> None:
    if words:
        pytest.importorskip("xdist")
    text = run_tests(folder, *words)
    assert "2 failed, 1 passed" in text, text
    failures = re.findall(r"^E +AssertionError: (.*)$", text, re.M)
    assert len(failures) == 2 and all("bn, " in line and "epsilon" in line for line in failures)
    assert "python -m pytest test_port.py::test_different" in text
    command = re.findall(r"alone: (triptych port .*)$", text, re.M)[0]
    if not words:
        return  # the command itself is run once, with the full tests
    alone = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(alone, cwd=folder, env=tree.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "epsilon" in done.stdout


def test_a_wrong_option_of_the_plugin_stops_the_session(folder: Path) -> None:
    (folder / "pytest.ini").write_text("[pytest]\ntriptych_seed = -3\n")
    assert "triptych_seed '-3': has to be a whole number" in run_tests(folder)
