"""Bounds of an earlier run are taken only where nothing is different from then that could change them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from suites.records.run import Cell
from suites.runner import kept_bounds, plan
from suites.runner.kept_bounds import KeptBounds
from suites.runner.workers import Arrays

CELL = Cell("seed", *plan.ORACLE)
STATE = {"weight/hidden/kernel": np.ones(3)}


class Computation:
    """Bounds that tell how often they were computed, and what happened while they were."""

    def __init__(self) -> None:
        self.times = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self) -> Arrays:
        self.times += 1
        self.meanwhile()
        return {"gradient/hidden/kernel": np.full((2, 2), self.times / 3)}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source root with one file."""
    (tmp_path / "impls").mkdir()
    (tmp_path / "impls" / "rounding.py").write_text("UNIT = 2.0**-53")
    return tmp_path


def bounds(tree: Path, compute: Computation, state: Arrays = STATE, threads: int = 1) -> Arrays:
    return KeptBounds(tree / "kept", tree).get(CELL, "float32_step bounds", threads, [state], compute)


def test_bounds_are_computed_once(tree: Path) -> None:
    """The same bits come back, by the same names."""
    compute = Computation()
    first, second = bounds(tree, compute), bounds(tree, compute)
    assert compute.times == 1 and first.keys() == second.keys()
    assert first["gradient/hidden/kernel"].tobytes() == second["gradient/hidden/kernel"].tobytes()


def test_what_they_follow_from_computes_them_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stale bound would let a wrong program pass, or fail a right one."""
    compute = Computation()
    bounds(tree, compute)
    (tree / "impls" / "rounding.py").write_text("UNIT = 2.0**-52")
    bounds(tree, compute)
    assert compute.times == 2, "a source was edited"
    bounds(tree, compute, {"weight/hidden/kernel": np.nextafter(np.ones(3), 2)})
    assert compute.times == 3, "the state they start from is another one, in the last bit"
    bounds(tree, compute, threads=2)
    assert compute.times == 4, "with more threads a sum has another order"
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    bounds(tree, compute)
    assert compute.times == 5, "other kernels"
    monkeypatch.setattr(kept_bounds, "canonical", lambda model, size: {"hidden/kernel": np.zeros(1)})
    bounds(tree, compute)
    assert compute.times == 6, "other weights"
    monkeypatch.setattr(np, "__version__", "99.0")
    bounds(tree, compute)
    assert compute.times == 7, "another NumPy"
    bounds(tree, compute)
    assert compute.times == 7


def test_a_tree_that_is_edited_meanwhile_keeps_nothing(tree: Path) -> None:
    """Nobody knows which version the worker had loaded."""
    compute = Computation()
    compute.meanwhile = lambda: (tree / "impls" / "rounding.py").write_text("UNIT = 1.0")
    bounds(tree, compute)
    assert not list(tree.glob("kept/*"))


def test_half_a_file_or_a_folder_that_cannot_be_written_costs_the_time_only(tree: Path) -> None:
    compute = Computation()
    bounds(tree, compute)
    (file,) = tree.glob("kept/*")
    file.write_bytes(file.read_bytes()[:100])
    bounds(tree, compute)
    assert compute.times == 2
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("no folder")
    bounds(tree, compute)
    assert compute.times == 3
