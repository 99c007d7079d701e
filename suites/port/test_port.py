"""Ports with one slip each: the layer, the phase and the name of the slip; and clean ports, which must be equal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from suites.port import files, match, report
from suites.port.__main__ import main
from suites.port.check import Comparison, compare
from suites.port.diagnose import Finding, findings
from suites.port.files import PortError
from suites.port.testing.samples import DATA, PAIRS, SLIPS
from suites.runner.availability import availability
from suites.runner.machine import ROOT
from suites.runner.workers import Pool


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    for implementation in ("raw_torch", "tf_keras"):
        if reason := availability(implementation, "torch"):
            pytest.skip(reason)
    with Pool() as pool:
        yield pool


def run(pool: Pool, folder: Path, pair: str, texts: tuple[str, ...]) -> tuple[Comparison, list[Finding]]:
    paths = [folder / "a.py", folder / "b.py"]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    a, b = (files.read(str(path), "torch") for path in paths)
    compared = compare(a, b, DATA[pair], pool)
    return compared, findings(compared)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("direction", [1, -1], ids=["keras to torch", "torch to keras"])
def test_a_clean_port_is_equal(pool: Pool, tmp_path: Path, pair: str, direction: int) -> None:
    """A false alarm on a right port, and nobody looks at the next one."""
    compared, found = run(pool, tmp_path, pair, PAIRS[pair][::direction])
    assert found == []
    assert compared.compared > 20 and 0 < compared.worst < 1


def test_a_flatten_in_another_order_can_be_meant(pool: Pool, tmp_path: Path) -> None:
    """Most ports flatten channels first and permute the next kernel: with that line in the mapping file it is equal."""
    a, b = PAIRS["cnn"]
    port = b.replace(SLIPS["flatten order"].old, SLIPS["flatten order"].new)
    compared, (found,) = run(pool, tmp_path, "cnn", (a, port))
    (tmp_path / "map.toml").write_text("[rows]\n" + found.words.partition("[rows] ")[2] + "\n")
    files_ = compared.a.file, compared.b.file
    assert findings(compare(*files_, DATA["cnn"], pool, match.mapping(str(tmp_path / "map.toml")))) == []


def test_the_example_of_the_readme(pool: Pool) -> None:
    """The first thing that a newcomer tries says what the README says."""
    folder, readme = ROOT / "docs/examples/port", " ".join((ROOT / "README.md").read_text().split())
    a, b = (files.read(str(folder / f"digits_{name}.py"), "torch") for name in ("keras", "torch"))
    found = findings(compare(a, b, files.random_data("8x8x1:10"), pool))
    assert [f.signature for f in found] == ["epsilon", "padding", "flatten_order", "running_variance"]
    assert all(f"{f.layer}, {f.phase}: {f.words}" in readme for f in found)


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_found_and_named(pool: Pool, tmp_path: Path, slip: str) -> None:
    """The one slip, by its name, in its layer; and nothing of what only follows from it."""
    pair, old, new, layer, phase, words = SLIPS[slip]
    a, b = PAIRS[pair]
    if slip == "reset_after":
        a = a.replace("reset_after=True", "reset_after=False")
    else:
        assert b.count(old) == 1
    _, found = run(pool, tmp_path, pair, (a, b.replace(old, new) if old else b))
    assert [(f.layer, f.phase) for f in found] == [(layer, phase)], found
    assert words in found[0].words and found[0].difference is not None


MIRRORED = (
    "batchnorm never in training",
    "max-pool padding",
    "flipped kernel",
    "flatten order",
    "gate order",
    "heavy ball",
)


@pytest.mark.parametrize("slip", MIRRORED)
def test_a_slip_of_the_side_with_layers_of_its_own_is_named(pool: Pool, tmp_path: Path, slip: str) -> None:
    """Where A's layers have no formula, B's have: which side a person calls A must not matter."""
    pair, old, new, layer, phase, words = SLIPS[slip]
    a, b = PAIRS[pair]
    _, (found,) = run(pool, tmp_path, pair, (b.replace(old, new), a))
    assert (found.layer_b, found.phase) == (layer, phase)
    letters = re.sub(r"\b[AB]\b", lambda letter: {"A": "B", "B": "A"}[letter[0]], words)
    assert letters in found.words or re.sub("A (.*), B (.*)", r"A \2, B \1", words) in found.words


def test_names_that_cross_need_a_mapping_file(pool: Pool, tmp_path: Path) -> None:
    """Two layers of one shape that B uses in the other order: guessing would carry weights to the wrong place."""
    lines = "self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)"
    text = TWO.replace("LAYERS", lines)
    texts = text.replace("ORDER", "self.second(self.first(x))"), text.replace("ORDER", "self.first(self.second(x))")
    paths = [tmp_path / "a.py", tmp_path / "b.py"]
    for path, source in zip(paths, texts, strict=True):
        path.write_text(source)
    a, b = (files.read(str(path)) for path in paths)
    data = {"x": np.ones((3, 4))}
    with pytest.raises(PortError, match="say in a mapping file") as caught:
        compare(a, b, data, pool)
    assert '"first.weight" = ' in str(caught.value) and "second.weight" in str(caught.value)
    names = [f"{layer}.{name}" for layer in ("first", "second") for name in ("weight", "bias")]
    crossed = dict(zip(names, names[2:] + names[:2], strict=True))
    assert findings(compare(a, b, data, pool, match.Table(crossed))) == []
    (found, *_) = findings(compare(a, b, data, pool, match.Table({name: name for name in names})))
    assert found.layer == "first" and "B applies second here" in found.words


TWO = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        LAYERS

    def forward(self, x):
        return ORDER

def build():
    return Net()
"""


def test_a_nan_is_traced_to_where_it_is_born(pool: Pool, tmp_path: Path) -> None:
    """Behind the first NaN everything is NaN: the report has to name the layer that made it."""
    a, b = PAIRS["cnn"]
    text = b.replace("x = self.pool(x)", "x = self.pool(torch.log(x - x.max() - 1))")
    assert text != b
    _, found = run(pool, tmp_path, "cnn", (a, text))
    assert found[0].signature == "nan" and found[0].layer_b == "pool", found


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
        "import torch\ndef build():\n    return torch.nn.Linear(4, 3, bias=False)\n", '"weight" = "weight"',
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
        a, b = (files.read(str(tmp_path / name)) for name in ("a.py", "b.py"))
        compare(a, b, {"x": np.ones((3, 4))}, pool)
    assert message in str(caught.value)
    assert case == "unmatched" or len(str(caught.value).splitlines()) == 1


BAD_DATA: dict[str, tuple[dict[str, object], str]] = {
    "no x": ({"inputs": np.ones(3)}, "has to hold x"),
    "lengths": ({"x": np.ones((3, 4)), "y": np.ones(2)}, "x has 3 examples and y has 2"),
    "text": ({"x": np.array(["a"])}, "numbers are expected"),
    "scalar": ({"x": np.array(1.0)}, "the first axis counts the examples"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_are_refused(tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a framework is loaded, with exit status 2."""
    arrays, message = BAD_DATA[case]
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    (tmp_path / "a.py").write_text(GOOD)
    file = str(tmp_path / "a.py")
    assert main([file, file, "--data", str(tmp_path / "x.npz")]) == 2
    assert message in capsys.readouterr().err


def test_the_report_says_it_to_a_person_and_to_a_machine(pool: Pool, tmp_path: Path) -> None:
    """The first layer, the phase, the index, both values, the bound; the same in JSON."""
    a, b = PAIRS["cnn"]
    compared, found = run(pool, tmp_path, "cnn", (a, b.replace("eps=1e-3, m", "m")))
    text = report.text(compared, found)
    assert "first at bn, forward, inference" in text and "output of bn[" in text and "rounding allows" in text
    report.write(str(tmp_path / "found.json"), compared, found)
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["equal"] is False and written["findings"][0]["signature"] == "epsilon"
    assert written["findings"][0]["difference"]["bound"] < 1e-12 < written["findings"][0]["difference"]["disagreement"]
