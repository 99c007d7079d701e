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
COPIED = ("impls", "suites", "reports", "triptych", "conftest.py", "pyproject.toml", "CONTRIBUTING.md", "README.md")


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
    "Add a model": (("--model=softmax", "--implementation=shim,raw_torch", "--backend=torch"), "torch", 4),
    "Add an implementation": (("--model=mlp", "--implementation=torch_lightly"), "torch", 2),
    "Add a backend": (("--model=mlp", "--implementation=shim", "--backend=einsum"), "numpy", 2),
}


@pytest.mark.parametrize(
    "title", [pytest.param(title, marks=() if title == "Add a model" else pytest.mark.full) for title in RECIPES]
)
def test_recipe(title: str, tree: Path) -> None:
    """A newcomer who follows a recipe gets cells that the suite runs and finds equal."""
    options, backend, cells = RECIPES[title]
    if reason := availability("shim", backend):
        pytest.skip(reason)
    follow(title, tree)
    done = equivalence(tree, *options)
    assert done.returncode == 0 and f"{cells} passed" in done.stdout, done.stdout + done.stderr


RNN = {
    "shim": (
        (
            'shim.LSTM(units, return_sequences=True, name="lstm")',
            'shim.SimpleRNN(units, return_sequences=True, name="rnn")',
        ),
    ),
    "raw_torch": (("self.lstm = nn.LSTM(", "self.rnn = nn.RNN("), ("self.lstm", "self.rnn")),
}
DEPENDS = (  # what a model takes part in besides the comparisons: every test that goes over the models
    "suites/code", "suites/equivalence/test_draws.py", "suites/equivalence/test_agreement.py",
    "suites/faults/test_faults.py", "suites/heritage", "suites/runner/test_plan.py", "suites/speed/test_rounds.py",
    "suites/test_house.py",
)  # fmt: skip


def with_programs_of_rnn(root: Path) -> None:
    """`elman` is the model `rnn` with another layer, as the recipe says."""
    for implementation, changes in RNN.items():
        text = (root / f"impls/rnn/{implementation}.py").read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = root / f"impls/elman/{implementation}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def run(tree: Path, *command: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """A Python module of the copy."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=tree, env=environment, capture_output=True, text=True, check=False,
        timeout=seconds,
    )  # fmt: skip


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("title, model", [("Add a model", "softmax"), ("Add a kind of layer", "elman")])
def test_everything_that_depends_on_a_model_is_green(title: str, model: str, tree: Path) -> None:
    """Not its comparisons alone: a newcomer who runs the project's tests finds none that is red for the new model."""
    if reason := availability("shim", "torch"):
        pytest.skip(reason)
    follow(title, tree)
    if model == "elman":
        with_programs_of_rnn(tree)
    chosen = f"{model} or applies or section or concept or reproducible or rooms or no_import or pairs"
    done = run(tree, "pytest", *DEPENDS, "-q", "-p", "no:cacheprovider", "-k", chosen, seconds=580)
    assert done.returncode == 0, done.stdout + done.stderr
    skipped = run(tree, "pytest", "suites/code", "-q", "-rs", "-p", "no:cacheprovider", "-k", model)
    assert f"not written: impls/{model}/raw_tf.py" in skipped.stdout, skipped.stdout
    flops = f"from suites.speed.flops import specified; from impls import MODELS; m = MODELS[{model!r}]; " + (
        "print(specified(m.name, m.sizes['small'], m.example(steps=32, **m.sizes['small']), 32, 'train_step') > 4e4)"
    )  # softmax's 640 weights and 32 examples: 40,960 forward alone
    counted = subprocess.run([sys.executable, "-c", flops], cwd=tree, capture_output=True, text=True, check=False)
    assert counted.stdout == "True\n", counted.stderr


@pytest.mark.full
def test_a_kind_that_is_not_declared_is_one_line_that_says_where(tree: Path) -> None:
    """Not a KeyError, and not nothing: a layer that counts as no operations would make a slow model look fast."""
    if reason := availability("shim", "torch"):
        pytest.skip(reason)
    follow("Add a kind of layer", tree)
    with_programs_of_rnn(tree)
    kinds = tree / "impls/layer_kinds.py"
    entry = '    "simplernn": Kind({"RNN": LSTM_IN_TORCH}, recurrent_cost, {"kernel": 20.0}),\n'
    kinds.write_text(kinds.read_text().replace(entry, ""))
    says = "layer 'rnn' is of kind 'simplernn', which is not declared: add it to KINDS in impls/layer_kinds.py"
    done = equivalence(tree, "--model=elman", "--implementation=raw_torch", "-k", "test_gradients")
    assert done.returncode == 1 and says in done.stdout, done.stdout
    flops = "from suites.speed.flops import specified; specified('elman', %r, (32,), 32, 'predict')"
    sizes = {"vocabulary": 5, "embed": 5, "units": 5}
    counted = subprocess.run(
        [sys.executable, "-c", flops % sizes], cwd=tree, capture_output=True, text=True, check=False
    )
    assert counted.returncode == 1 and says in counted.stderr, counted.stderr


@pytest.mark.full
def test_a_wrong_backend_is_found_by_following_the_recipe(tree: Path) -> None:
    """The recipe's check is a real one: a backend with a fault fails, and the first wrong layer is named."""
    follow("Add a backend", tree)
    path = tree / "impls/shim/backends/einsum.py"
    path.write_text(path.read_text() + "\n\nrelu = abs  # noqa: F405\n")
    done = equivalence(tree, "--model=mlp", "--implementation=shim", "--backend=einsum")
    assert done.returncode == 1 and "activation/hidden1" in done.stdout, done.stdout + done.stderr
