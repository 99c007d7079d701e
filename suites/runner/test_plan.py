"""What a user can ask for, and what a user is told who asks for something else."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from impls import BACKENDS, IMPLEMENTATIONS, MODELS
from suites.runner import availability, environments, plan, requirements
from suites.runner.laboratory import Laboratory, new_run
from suites.runner.machine import ROOT

NOTHING = dict.fromkeys(("model", "implementation", "backend", "mode", "device", "size", "require"), "")


def test_selecting_nothing_means_every_model_on_every_implementation_and_backend() -> None:
    """A cell that is silently missing is a comparison that nobody makes."""
    cells = plan.selection(NOTHING).cells("float64")
    default = [entry for entry in IMPLEMENTATIONS.values() if not entry.extra]
    pairs = sum(not BACKENDS[backend].extra for entry in default for backend in entry.backends)
    assert len(set(cells)) == len(cells) == pairs * len(MODELS)


def test_selection_and_label() -> None:
    words = {**NOTHING, "model": "rnn", "implementation": "shim", "backend": "torch"}
    chosen = plan.selection({**words, "mode": "compile"})
    assert [plan.label(cell) for cell in chosen.cells("float64")] == ["rnn-shim-torch-compile-float64"]
    chosen = plan.selection(words)
    assert [plan.label(cell) for cell in chosen.cells("float64")] == ["rnn-shim-torch-float64"]


def test_what_is_extra_runs_only_where_it_is_named() -> None:
    """A backend that compiles for minutes, or an engine of 2017, would slow every run down."""

    def ways(**words: str) -> set[tuple[str, str]]:
        cells = plan.selection({**NOTHING, **words, "model": "seed"}).cells("float64")
        return {(cell.implementation, cell.backend) for cell in cells}

    assert ways(implementation="keras2") == {("keras2", name) for name in IMPLEMENTATIONS["keras2"].backends}
    assert ways(implementation="shim") & {("shim", "numpy"), ("shim", "numba")} == {("shim", "numpy")}
    assert ways(backend="numba") == {("shim", "numba")}
    assert ("keras_inference", "numpy") not in ways(backend="numpy")


def test_what_a_quick_run_leaves_out_is_counted_and_has_its_reason() -> None:
    """A training that is silently missing would leave "all variants learn" to the smaller models."""
    (cell,) = plan.selection({**NOTHING, "model": "rnn", "backend": "numpy"}).cells("float64")
    absent = replace(cell, implementation="keras2")
    found = Laboratory(plan.Selection(), new_run({}), None, 1, quick=True)
    found.reasons = {cell: "", absent: "no engine"}
    found.leave_out([(cell, "training"), (absent, "training")])
    assert [(item.cell, item.stage) for item in found.run.planned] == [(cell, "training"), (absent, "training")]
    (outcome,) = found.run.outcomes
    assert (outcome.cell, outcome.status) == (cell, "skipped") and "--quick" in outcome.reason


BAD = {
    "--model=mpl": "unknown model 'mpl': known are seed, mlp, cnn, rnn",
    "--implementation=shim,keras": "unknown implementation 'keras': known are raw_tf",
    "--backend=tensrflow": "unknown backend 'tensrflow': known are numpy, tensorflow, torch, jax",
    "--device=tpu": "unknown device 'tpu': known are cpu, gpu",
    "--size=huge": "unknown size 'huge': known are small, large",
    "--mode=fast": "unknown mode 'fast': known are ",
    "--require=mxnet --backend=numpy": "--require mxnet: --backend numpy leaves it out",
    "--require=caffe": "unknown name in --require 'caffe': known are ",
    "--bench --results=/proc/results": "--results /proc/results: can't be created",
    "--implementation=raw_tf --backend=jax": "nothing to run: no implementation has this combination",
    "--bench --threads=0": "--threads 0: has to be a number from 1 on, or all",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_input_is_told_with_what_is_known(words: str) -> None:
    """A user who mistypes sees the word and what exists."""
    given = dict(word.removeprefix("--").partition("=")[::2] for word in words.split())
    options = {**NOTHING, "threads": "1", "results": "results", **given}
    with pytest.raises(plan.PlanError, match=re.escape(BAD[words])):
        plan.chosen(options, bench="--bench" in words.split())


def test_bad_input_is_one_line_and_exit_status_2() -> None:
    """No traceback, and nothing of pytest's own around it."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--backend=tensrflow"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert len(lines) == 1 and BAD["--backend=tensrflow"] in lines[0], lines


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring on the CPU what was asked for on a GPU would be a wrong number."""
    monkeypatch.setattr(plan, "gpu_here", lambda: False)
    with pytest.raises(plan.PlanError, match="no GPU found"):
        plan.check_device("gpu")


def test_an_unwritable_folder_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(plan.PlanError, match="can't be created"):
        plan.check_folder(tmp_path / "file" / "results")


@pytest.mark.full
def test_a_skip_for_what_is_required_is_a_failure() -> None:
    """A CI that lost its browser would stay green for years."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "reports/page/test_browser.py"]
    variables = {**os.environ, "PATH": "/nowhere"}
    for words, fails, said in ([], False, " skipped"), (["--require", "browser"], True, "browser is required: no"):
        done = subprocess.run([*command, *words], cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
        assert (done.returncode in (1, 2)) == fails and said in done.stdout, done.stdout  # 5: a file skipped as a whole


def test_every_reason_of_a_missing_engine_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reason in other words would be skipped under `--require` too."""
    monkeypatch.setattr(availability, "_installed", lambda module: False)
    monkeypatch.setenv("TRIPTYCH_ENVIRONMENTS", "/nowhere")
    for name, entry in IMPLEMENTATIONS.items():
        for backend in entry.backends:
            elsewhere = environments.reason_against(name, backend)
            reason = elsewhere or availability.availability(name, backend)
            assert requirements.missed(reason, ("heritage" if elsewhere else backend,)), reason


def functions_of(path: Path) -> list[ast.FunctionDef]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def asks_the_laboratory(test: ast.FunctionDef) -> bool:
    """Whether a test that does not measure has the laboratory among its arguments."""
    measures = "pytest.mark.bench" in [ast.unparse(mark) for mark in test.decorator_list]
    return not measures and "laboratory" in [argument.arg for argument in test.args.args]


def test_what_shares_workers_is_run_by_one_process() -> None:
    """Each process of pytest-xdist that asks the laboratory starts all of its workers, those of other tests too."""
    side_by_side = pytest.importorskip("suites.runner.side_by_side", reason="pytest-xdist is not installed")
    files = Path(ROOT, "suites").rglob("test_*.py")
    asking = {str(path.relative_to(ROOT)) for path in files if any(map(asks_the_laboratory, functions_of(path)))}
    listed = {file for file, group in side_by_side.TOGETHER.items() if group == side_by_side.LABORATORY}
    assert asking == listed, "list it in TOGETHER"
    assert side_by_side.scope("suites/references/test_one.py::test[a::b]") == "references"
    assert side_by_side.scope("suites/test_house.py::test_it[suites/references/]") == "suites/test_house.py"
