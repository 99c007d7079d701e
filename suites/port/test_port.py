"""Ports with one bug each: the layer, the phase and the name of the bug; and clean ports, which must be the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suites.port import report
from suites.port.__main__ import main
from suites.port.api import Result, compare
from suites.port.files import PortError
from suites.port.testing.nets import program
from suites.port.testing.pools import pool_of
from suites.port.testing.samples import DATA, PAIRS
from suites.port.testing.slips import SLIPS
from suites.port.verdict import Verdict
from suites.runner.availability import availability
from suites.runner.machine import ROOT
from suites.runner.workers import Pool

STRUCTURAL = ("missing", "extra", "wiring", "reshape")  # told by the graph alone
PHASES = {"forward, inference": "inference", "forward, training": "training"}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    yield from pool_of(("raw_torch", "torch"), ("tf_keras", "torch"))


def run(pool: Pool, folder: Path, pair: str, texts: tuple[str, ...]) -> Result:
    paths = write(folder, *texts)
    return compare(paths[0], paths[1], DATA[pair], backend_a="", backend_b="", pool=pool)


def write(folder: Path, *texts: str) -> list[Path]:
    paths = [folder / "a.py", folder / "b.py"]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(
    "direction", [pytest.param(1, id="keras to torch"), pytest.param(-1, id="torch to keras", marks=pytest.mark.full)]
)
@pytest.mark.one_in(10)
def test_a_clean_port_is_the_same(
    pool: Pool, tmp_path: Path, pair: str, direction: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A false alarm on a right port, and nobody looks at the next one."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    found = run(pool, tmp_path, pair, PAIRS[pair][::direction])
    assert found.verdict is Verdict.SAME, found.text()
    assert len(found.comparison.outcomes) > 5 and found.comparison.proof is not None
    assert found.comparison.proof.found and found.comparison.proof.located


def mostly_full(names: list[str]) -> list[Any]:
    """Every third is a quick test, the others need `--full`: a comparison takes seconds."""
    full = pytest.mark.full
    return [pytest.param(name, marks=() if at % 3 == 0 else full) for at, name in enumerate(names)]


@pytest.mark.parametrize("slip", mostly_full(list(SLIPS)))
@pytest.mark.one_in(8)
def test_a_bug_is_found_in_its_layer(pool: Pool, tmp_path: Path, slip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one bug, in its layer and phase; and nothing of what only follows from it."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pair, old, new, _, phase, words = SLIPS[slip]
    a, b = PAIRS[pair]
    if slip == "reset_after":
        a = a.replace("reset_after=True", "reset_after=False")
    else:
        assert b.count(old) == 1
    found = run(pool, tmp_path, pair, (a, b.replace(old, new) if old else b))
    assert found.verdict is Verdict.DIFFERENT and found.status == 1
    first = found.findings[0]
    assert first.phase == PHASES.get(phase, phase), found.text()
    assert first.signature in ("", *STRUCTURAL) or words in first.words(), found.text()
    assert first.difference is not None


def test_the_line_that_an_error_proposes_works(pool: Pool, tmp_path: Path) -> None:
    """What is left over is listed with a line for a mapping file: pasted, it is taken, and B lacks one."""
    one = program("self.one = nn.Parameter(torch.ones(4, 3))", "return x @ self.one")
    both = "self.u = nn.Parameter(torch.ones(4, 3)); self.v = nn.Parameter(torch.ones(4, 3))"
    paths = write(tmp_path, program(both, "return x @ (self.u + self.v)"), one)
    data = {"x": np.random.default_rng(0).normal(size=(3, 4))}
    with pytest.raises(PortError, match="2 of A and 1 of B") as caught:
        compare(paths[0], paths[1], data, pool=pool)
    table = tmp_path / "map.toml"
    table.write_text(str(caught.value).splitlines()[-1].strip())
    found = compare(paths[0], paths[1], data, map=table, pool=pool)
    assert found.findings[0].signature == "parameter_missing"
    assert "A has v, B has none" in found.text()


SEVERAL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)
        self.norm = nn.LayerNorm(6, eps=1e-5)

    def forward(self, x):
        x = self.norm(nn.functional.gelu(self.one(x)))
        return self.three(torch.relu(self.two(x))) / 2

def build():
    return Net()
"""
KERAS_SEVERAL = """
import keras
from keras import layers, ops

class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.one, self.two = layers.Dense(6, name="one"), layers.Dense(6, name="two")
        self.three, self.norm = layers.Dense(4, name="three"), layers.LayerNormalization(name="norm")

    def call(self, x):
        x = self.norm(ops.gelu(self.one(x), approximate=True))
        return self.three(ops.tanh(self.two(x))) / 3

def build():
    return Net()
"""
SIGNATURES = ["activation", "epsilon", "activation", "number"]


def test_all_bugs_are_listed_at_once(pool: Pool, tmp_path: Path) -> None:
    """Each is healed before the next is looked for; one that hides the others costs a person four runs."""
    bugs = [("gelu(self.one(x))", "gelu(self.one(x), approximate='tanh')"), ("relu", "tanh"), ("1e-5", "1e-3")]
    port = SEVERAL.replace("/ 2", "/ 3")
    for old, new in bugs:
        port = port.replace(old, new)
    paths = write(tmp_path, SEVERAL, port)
    found = compare(paths[0], paths[1], {"x": np.random.default_rng(0).normal(size=(5, 6))}, pool=pool)
    assert [finding.signature for finding in found.findings] == SIGNATURES, found.text()
    words = [finding.words() for finding in found.findings]
    assert words[0] == "activation: A GELU by erf, B GELU by tanh" and words[2] == "activation: A relu, B tanh"


@pytest.mark.full
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.one_in(4)
def test_all_bugs_are_listed_at_once_whatever_the_engine(
    pool: Pool, tmp_path: Path, backend: str, direction: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow takes no value in an operation's place by itself, and is made to."""
    if reason := availability("tf_keras", backend):
        pytest.skip(reason)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    paths = write(tmp_path, *(SEVERAL, KERAS_SEVERAL)[::direction])
    found = compare(paths[0], paths[1], {"x": np.random.default_rng(0).normal(size=(5, 6))}, pool=pool)
    real = [finding.signature for finding in found.findings if not finding.released]
    assert real == SIGNATURES, found.text()


BAD_FILES = {
    "no such file": (None, "can't be read"),
    "no build()": ("import torch\n", "defines no build()"),
    "no Python": ("import torch\ndef build(:\n", ":2: is no Python"),
    "build raises": ("import torch\ndef build():\n    return torch.nn.Linear(4, 'x')\n", "b.py:3, in build: TypeError"),
    "no model": ("import torch\ndef build():\n    return 3\n", "has to return a torch.nn.Module, it returned int"),
    "other shapes": (
        "import torch\ndef build():\n    return torch.nn.Linear(5, 4)\n", "mat1 and mat2 shapes cannot be multiplied"
    ),
    "unmatched": (
        "import torch\ndef build():\n    return torch.nn.Linear(4, 3, bias=False)\n", "2 of A and 1 of B",
    ),
}  # fmt: skip
GOOD = "import torch\ndef build():\n    return torch.nn.Linear(4, 4)\n"


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_clear_error(pool: Pool, tmp_path: Path, case: str) -> None:
    """What is wrong with the user's file is said with its name, and with the line of it where there is one."""
    text, message = BAD_FILES[case]
    (tmp_path / "a.py").write_text(GOOD)
    if text is not None:
        (tmp_path / "b.py").write_text(text)
    with pytest.raises(PortError) as caught:
        compare(tmp_path / "a.py", tmp_path / "b.py", {"x": np.ones((3, 4))}, pool=pool)
    assert message in str(caught.value)
    assert case == "unmatched" or len(str(caught.value).splitlines()) == 1
    assert "impls/port" not in caught.value.traceback


BAD_DATA: dict[str, tuple[dict[str, object], str]] = {
    "labels only": ({"y": np.ones(3)}, "has to hold an input"),
    "lengths": ({"x": np.ones((3, 4)), "y": np.ones(2)}, "x has 3 examples and y has 2"),
    "text": ({"x": np.array(["a"])}, "numbers are expected"),
    "scalar": ({"x": np.array(1.0)}, "the first axis counts the examples"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_are_refused(pool: Pool, tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a framework is loaded, with exit status 2."""
    arrays, message = BAD_DATA[case]
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    (tmp_path / "a.py").write_text(GOOD)
    file = str(tmp_path / "a.py")
    assert main([file, file, "--data", str(tmp_path / "x.npz")]) == 2
    assert message in capsys.readouterr().err


def test_paths_are_those_of_the_caller(pool: Pool, tmp_path: Path) -> None:
    """From any folder: the worker runs elsewhere, the files are where the user stands."""
    write(tmp_path, GOOD, GOOD)
    np.savez(tmp_path / "x.npz", x=np.ones((3, 4)))
    command = [sys.executable, "-m", "suites.port", "a.py", "b.py", "--data", "x.npz", "--json", "found.json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "SAME" in found.stdout and json.loads((tmp_path / "found.json").read_text())["verdict"] == "SAME"


def test_the_report_says_it_to_a_person_and_to_a_machine(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first layer, the phase, the index, both values, the bound; the same in JSON."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    a, b = PAIRS["cnn"]
    found = run(pool, tmp_path, "cnn", (a, b.replace("eps=1e-3, m", "m")))
    text = found.text()
    assert "DIFFERENT, first at bn, inference" in text and "rounding allows" in text and "out[" in text
    report.write(str(tmp_path / "found.json"), found.to_json())
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["verdict"] == "DIFFERENT" and written["findings"][0]["place_a"] == "bn"
    difference = written["findings"][0]["difference"]
    assert difference["bound"] < 1e-11 < difference["relative"]


def test_strict_counts_what_no_port_can_avoid(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nn.BatchNorm2d's running variance: exit status 0, and 1 with --strict."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    a, b = PAIRS["cnn"]
    paths = write(tmp_path, a, b.replace("self.bn = Norm(", "self.bn = nn.BatchNorm2d("))
    found = compare(paths[0], paths[1], DATA["cnn"], pool=pool)
    assert found.verdict is Verdict.SAME_UP_TO and found.same, found.text()
    assert not compare(paths[0], paths[1], DATA["cnn"], strict=True, pool=pool).same
