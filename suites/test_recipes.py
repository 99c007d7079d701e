"""The recipes of CONTRIBUTING.md work: follow them on a copy of the tree, then run the suite there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from suites.availability import availability
from suites.machine import ROOT

BLOCK = re.compile(r"^```python (?P<path>\S+)(?: after `(?P<anchor>[^\n]+)`)?\n(?P<text>.*?)^```$", re.M | re.S)
COPIED = ("impls", "suites", "reports", "conftest.py", "pyproject.toml")


def recipe(title: str) -> list[re.Match[str]]:
    """The code blocks under a heading of CONTRIBUTING.md."""
    text = Path(ROOT, "CONTRIBUTING.md").read_text()
    found = re.search(rf"^### {title}\n(.*?)(?=^##|\Z)", text, re.M | re.S)
    assert found, f"CONTRIBUTING.md has no recipe {title!r}"
    return list(BLOCK.finditer(found[1]))


def follow(title: str, root: Path) -> None:
    """Do what the recipe says, in `root`."""
    for block in recipe(title):
        path = root / block["path"]
        if block["anchor"] is None:
            assert not path.exists(), f"{block['path']} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["text"])
        else:
            before, anchor, after = path.read_text().partition(block["anchor"] + "\n")
            assert anchor, f"{block['path']} has no line {block['anchor']!r}"
            path.write_text(before + anchor + block["text"] + after)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the tree without what is not source."""
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    return tmp_path


def equivalence(tree: Path, *options: str) -> str:
    """What the equivalence suite prints in `tree`."""
    command = [sys.executable, "-m", "pytest", "suites/equivalence", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


RECIPES = {
    "Add a model": ("--model=softmax", "--implementation=shim,raw_torch", "--backend=torch"),
    "Add an implementation": ("--implementation=torch_lightly", "--model=mlp"),
    "Add a backend": ("--implementation=shim", "--backend=einsum", "--model=mlp,rnn"),
}
PASSED = {"Add a model": 4, "Add an implementation": 2, "Add a backend": 4}


@pytest.mark.parametrize("title", RECIPES)
def test_recipe(title: str, tree: Path) -> None:
    """A newcomer who follows a recipe gets a cell that the suite runs and finds equal."""
    needed = {"Add a model": "raw_torch", "Add an implementation": "raw_torch", "Add a backend": "shim"}[title]
    backend = "numpy" if needed == "shim" else "torch"
    if reason := availability(needed, backend):
        pytest.skip(reason)
    follow(title, tree)
    assert f"{PASSED[title]} passed" in equivalence(tree, *RECIPES[title])


def test_a_wrong_program_is_found_by_following_the_recipe(tree: Path) -> None:
    """The recipe's check is a real one: the same backend with a fault in it must fail."""
    follow("Add a backend", tree)
    path = tree / "impls/shim/backends/einsum.py"
    path.write_text(path.read_text().replace('"...i,io->...o"', '"...i,io->...o"[:12]') + "\nrelu = tanh\n")
    command = [sys.executable, "-m", "pytest", "suites/equivalence", "-q", "-p", "no:cacheprovider"]
    options = ["--implementation=shim", "--backend=einsum", "--model=mlp"]
    done = subprocess.run([*command, *options], cwd=tree, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1 and "hidden1" in done.stdout
