"""The check of a GPU, seen without one: it refuses, it rehearses on a CPU, and it judges what comes in late."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from suites.records.run import Cell
from suites.runner import availability, plan
from suites.speed import gpu_check, gpu_equivalence
from suites.speed.gpu_equivalence import LATE, Equivalence


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gpu_check, "gpu_here", lambda: False)
    assert gpu_check.main([]) == 2
    assert capsys.readouterr().err == "error: no GPU found on this machine: --rehearse runs the check on the CPU\n"


def test_modes_that_need_a_gpu_are_planned_on_one_only() -> None:
    """On a CPU they would be skipped in every run; on a GPU the best way of an engine would be missing."""
    cells = {device: plan.Selection(device=device).cells("float32") for device in ("cpu", "gpu")}
    modes = {
        device: {(c.implementation, c.mode) for c in found if c.backend == "torch"} for device, found in cells.items()
    }
    assert modes["gpu"] - modes["cpu"] == {("shim", "graph"), ("torch_native", "reduce-overhead")}
    assert (
        availability.availability("shim", "torch", "cpu", "graph")
        == "shim on torch has no mode 'graph': it has eager, compile"
    )


ORACLE = Cell("seed", *plan.ORACLE)


def test_what_is_prepared_is_what_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle itself is within its bounds; a cell that answers too late is not called good."""
    monkeypatch.setattr(gpu_equivalence, "STAGES_OF", {"float64": ("gradients",), "float32": ("float32_step",)})
    for stage in ("gradients", "float32_step"):
        gpu_equivalence.prepare("seed", stage, tmp_path)
    with ThreadPoolExecutor(2) as executor:
        equivalence = Equivalence(executor, ["seed"], tmp_path, time.monotonic() + 300)
        monkeypatch.setattr(gpu_equivalence, "computed", lambda model, stage: pytest.fail("computed again"))
        equivalence.ask(ORACLE)
        (verdict,) = equivalence.verdicts()
        assert (verdict.outside, verdict.reason, verdict.worst) == (0, "", 0.0) and verdict.tensors > 5
        equivalence.deadline = time.monotonic()
        equivalence.ask(ORACLE)
        assert [item.reason for item in equivalence.verdicts()] == [LATE]


def test_what_was_prepared_of_other_data_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's documentation differs by version: one model was called wrong on every engine."""
    asked: list[str] = []
    truth = gpu_equivalence.Truth({"loss": np.zeros(1)}, {"loss": np.zeros((3, 3))}, [])

    def compute(model: str, stage: str) -> gpu_equivalence.Truth:
        asked.append(stage)
        return truth

    monkeypatch.setattr(gpu_equivalence, "computed", compute)
    gpu_equivalence.prepare("seed", "gradients", tmp_path)
    assert gpu_equivalence.truth_of("seed", "gradients", tmp_path).found.keys() == {"loss"} and len(asked) == 1
    monkeypatch.setattr(gpu_equivalence, "digest", lambda model: "of other data")
    gpu_equivalence.truth_of("seed", "gradients", tmp_path)
    assert len(asked) == 2


@pytest.mark.full
@pytest.mark.catalogue
def test_it_rehearses_on_a_cpu(tmp_path: Path) -> None:
    """The command is used where there is little time to find a slip in it."""
    output = tmp_path / "gpu.json"
    options = ["--model", "seed", "--part", "speed", "--output", str(output), "--seconds", "600"]
    status = gpu_check.main(["--rehearse", *options])
    found = json.loads(output.read_text())
    assert status == 0 and found["gpu"] == "none"
    assert all(row["seconds"] for row in found["measured"]), [row["reason"] for row in found["measured"]]
