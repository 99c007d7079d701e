"""The recipes of CONTRIBUTING.md work: follow them on a copy of the tree, then run the suite there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from suites.runner.availability import availability
from suites.runner.machine import ROOT

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


def equivalence(tree: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The equivalence suite in `tree`."""
    tests = "suites/equivalence/test_equivalence.py"
    command = [sys.executable, "-m", "pytest", tests, "-q", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=300)


RECIPES = {
    "Add a model": (("--model=softmax", "--implementation=shim,raw_torch", "--backend=torch"), "torch", 6),
    "Add an implementation": (("--model=mlp", "--implementation=torch_lightly"), "torch", 3),
    "Add a backend": (("--model=mlp", "--implementation=shim", "--backend=einsum"), "numpy", 3),
}


@pytest.mark.parametrize("title", RECIPES)
def test_recipe(title: str, tree: Path) -> None:
    """A newcomer who follows a recipe gets cells that the suite runs and finds equal."""
    options, backend, cells = RECIPES[title]
    if reason := availability("shim", backend):
        pytest.skip(reason)
    follow(title, tree)
    done = equivalence(tree, *options)
    assert done.returncode == 0 and f"{cells} passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.full
def test_a_wrong_backend_is_found_by_following_the_recipe(tree: Path) -> None:
    """The recipe's check is a real one: a backend with a fault fails, and the first wrong layer is named."""
    follow("Add a backend", tree)
    path = tree / "impls/shim/backends/einsum.py"
    path.write_text(path.read_text() + "\n\nrelu = abs  # noqa: F405\n")
    done = equivalence(tree, "--model=mlp", "--implementation=shim", "--backend=einsum")
    assert done.returncode == 1 and "activation/hidden1" in done.stdout, done.stdout + done.stderr
