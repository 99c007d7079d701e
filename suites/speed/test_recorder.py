"""pytest-benchmark records our rounds: its files, its table, `compare` and `--benchmark-compare-fail` work on them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suites.runner.machine import ROOT

RECORDED = '''
import os
from types import SimpleNamespace

import pytest

from suites.records.run import Cell
from suites.speed.rounds import Arm
from suites.speed.test_speed import REPLAY, replayed

CELL = Cell("mlp", "shim", "numpy", "eager", "cpu", "float32")


@pytest.mark.benchmark(timer=REPLAY)
def test_cell(benchmark):
    """Rounds of 10 calls in which a call takes 2 ms, or as many times that as SLOWER says."""
    each = 0.002 * float(os.environ["SLOWER"])
    arm = Arm(SimpleNamespace(threads=1), iterations=10, seconds=[10 * each * f for f in (0.9, 1, 1, 1, 1.1)])
    replayed(benchmark, CELL, arm, "mlp train_step")
'''


def python(folder: Path, slower: float, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "SLOWER": str(slower)}
    variables.pop("PYTEST_XDIST_WORKER", None)  # else pytest-benchmark takes the user's session for one of several
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False)


def recorded(folder: Path, slower: float, *options: str) -> subprocess.CompletedProcess[str]:
    options = ("-p", "no:cacheprovider", "--rootdir=.", "-q", "--benchmark-storage=file://saved", *options)
    return python(folder, slower, "pytest", "test_recorded.py", *options)


@pytest.mark.full
def test_saved_rounds_are_compared(tmp_path: Path) -> None:
    """Two runs, the second a fifth slower: both commands show the rounds that were measured, and the fifth."""
    Path(tmp_path, "test_recorded.py").write_text(RECORDED)
    first = recorded(tmp_path, 1.0, "--benchmark-autosave")
    assert first.returncode == 0, first.stdout
    second = recorded(
        tmp_path, 1.2, "--benchmark-autosave", "--benchmark-compare", "--benchmark-compare-fail=median:5%"
    )
    assert second.returncode != 0 and "Performance has regressed" in second.stdout + second.stderr
    assert len(list(tmp_path.glob("saved/*/*.json"))) == 2
    table = python(tmp_path, 1.0, "pytest_benchmark", "--storage=file://saved", "compare", "--columns=median,rounds")
    assert table.returncode == 0, table.stderr
    lines = [line.split() for line in table.stdout.splitlines() if line.startswith("test_cell")]
    assert [line[-3:] for line in lines] == [["2.0000", "(1.0)", "5"], ["2.4000", "(1.20)", "5"]]
