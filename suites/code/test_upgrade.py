"""Runs on other releases: what fails is told with its place, what differs is no success, and changes apply."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from impls import MODELS
from suites.code import upgrade
from suites.code.upgrade import Ran, Release, Truth
from suites.records.run import Upgrade
from suites.runner.machine import ROOT
from suites.runner.workers import Pool, Source, WorkerRaised

RELEASES, PATCHES, CAUSES = upgrade.read()
HERE = Release("here", "This Python with NumPy", "3.11", ("numpy==0",), "numpy", ("shim",))


def test_every_change_applies_to_the_programs_as_they_are(tmp_path: Path) -> None:
    """A change of a line that is gone would be counted and never made."""
    for release in RELEASES:
        own = [patch for patch in PATCHES if patch.release == release.name]
        root = upgrade.copied(tmp_path / release.name, release, own)
        for patch in own:
            assert patch.new in (root / patch.file).read_text(), f"{release.name}: {patch.file}"
    assert {patch.release for patch in PATCHES} <= {release.name for release in RELEASES}
    ways = {way for release in RELEASES for way in release.ways}
    assert {cause.way for cause in CAUSES} <= ways
    assert {cause.model for cause in CAUSES} <= {"", *MODELS}


def test_a_copy_leaves_the_checkout_alone(tmp_path: Path) -> None:
    before = (ROOT / "impls" / "__init__.py").read_text()
    root = upgrade.lowered(upgrade.copied(tmp_path, RELEASES[0]))
    assert "strict=" not in (root / "impls/rnn/raw_tf.py").read_text()
    assert (ROOT / "impls" / "__init__.py").read_text() == before


SINCE_39 = ("TypeAlias", "Annotated", "ParamSpec", "Self", "kw_only", "slots")  # names that Python 3.8 lacks
GENERIC = ("dict", "list", "tuple", "set", "type", "Callable", "Iterable", "Iterator", "Sequence", "Mapping")


def evaluated(statements: list[ast.stmt]) -> Iterator[ast.AST]:
    """What a module evaluates while it loads: no bodies of functions, and no annotations."""
    for statement in statements:
        if isinstance(statement, ast.ClassDef):
            yield from (*statement.bases, *statement.decorator_list)
            yield from evaluated(statement.body)
        elif isinstance(statement, ast.FunctionDef):
            yield from (*statement.decorator_list, *statement.args.defaults)
        elif isinstance(statement, ast.AnnAssign):
            yield from [statement.value] if statement.value is not None else []
        elif not (isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"):
            yield statement


def newer_than_38(part: ast.AST) -> Iterator[str]:
    """Types that Python 3.8 can't evaluate, and names that it lacks."""
    for node in ast.walk(part):
        generic = isinstance(node, ast.Subscript) and ast.unparse(node.value) in GENERIC
        either = isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
        imported = isinstance(node, ast.alias) and node.name in SINCE_39
        given = isinstance(node, ast.keyword) and node.arg in SINCE_39
        if generic or either or imported or given:
            yield ast.unparse(node)


def test_the_shim_loads_on_the_oldest_python_of_a_release(tmp_path: Path) -> None:
    """An alias of types is no annotation: Python 3.8 evaluates it, and no program of the shim would start there."""
    oldest = min(RELEASES, key=lambda release: tuple(map(int, release.python.split("."))))
    root = upgrade.lowered(upgrade.copied(tmp_path, oldest, [p for p in PATCHES if p.release == oldest.name]))
    assert oldest.python == "3.8"
    found = []
    for path in sorted((root / "impls" / "shim").rglob("*.py")):
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        found += [(path.name, what) for part in evaluated(tree.body) for what in newer_than_38(part)]
    assert not found


@pytest.mark.parametrize(
    ("losses", "reason", "expected"),
    [
        ([1.0, 2.0], "", "equal"),
        ([1.0, 2.0 + 1e-6], "", "equal"),  # as today's release does
        ([1.0, 2.0 + 1e-3], "", "different"),
        ([1.0, np.nan], "", "different"),
        ([], "impls/mlp/raw_tf.py:3: AttributeError", "fails"),
    ],
)
def test_status(losses: list[float], reason: str, expected: str) -> None:
    truth = Truth({"losses": np.array([1.0, 2.0])}, {"losses": np.array([1.0, 2.0 + 1e-6])}, 1e-12)
    assert truth.status(Ran({"losses": np.array(losses)}, reason))[0] == expected


def test_a_failure_names_the_line_of_the_program() -> None:
    """Of all the frames of a traceback, those of the worker and the framework say nothing about the program."""
    frames = ("impls/worker/server.py", "impls/adapters/released.py", "impls/rnn/raw_tf.py", "lib/tensorflow/core.py")
    text = "".join(f'  File "/somewhere/{frame}", line {at}, in f\n' for at, frame in enumerate(frames, 1))
    failure = WorkerRaised("w", "TypeError", "in user code:\n\n    x = 1\n\n    no such argument\n", text)
    assert upgrade.reason(failure) == "impls/rnn/raw_tf.py:3: TypeError: in user code: no such argument"


def planted(pool: Pool, folder: Path, old: str, new: str) -> Upgrade:
    """What the run says of a checkout in which a program of the shim is another one."""
    patch = upgrade.Patch("here", "impls/seed/shim.py", "framework", old, new)
    root = upgrade.copied(folder, HERE, [patch])
    sources = [Source(root=root), Source(root=upgrade.copied(folder / "changed", HERE))]
    return upgrade._one(pool, HERE, [patch], sources, "shim", "seed")


def test_a_run_from_end_to_end(tmp_path: Path) -> None:
    """A program that fails is named with its line, one that learns otherwise differs, and the change makes it equal."""
    with Pool() as pool:
        fails = planted(pool, tmp_path / "fails", "shim.Dense(1", "shim.Dence(1")
        differs = planted(pool, tmp_path / "differs", "learning_rate=0.01", "learning_rate=0.02")
    assert (fails.status, fails.patched, fails.lines) == ("fails", "equal", {"framework": 1})
    assert fails.reason.startswith("impls/seed/shim.py:") and "Dence" in fails.reason
    assert (differs.status, differs.patched) == ("different", "equal")
    assert differs.disagreement is not None and differs.disagreement > 1e-3
