"""However a run of the gate ends: what was measured is kept and judged, and nothing is left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from suites.projects.testing.repository import (
    MODULE,
    PYPROJECT,
    QUICKLY,
    SLOWER,
    TESTS,
    Repository,
    interrupt,
    processes_in,
    wait_for,
)
from suites.records import projects


def started(tmp_path: Path) -> tuple[Repository, Any]:
    """A run over many tests of which the first ones are measured."""
    repository = Repository(tmp_path / "project")
    tests = TESTS + "".join(f"\ndef test_{n}(benchmark):\n    benchmark(toy.work, 200)\n" for n in range(30))
    repository.commit({"toy.py": MODULE, "test_toy.py": tests, "pyproject.toml": PYPROJECT + QUICKLY})
    repository.commit({"toy.py": SLOWER})
    process = repository.start("--base", "HEAD~1")
    wait_for(lambda: measured_until_now(repository) >= 2)
    return repository, process


def measured_until_now(repository: Repository) -> int:
    path = repository.results / projects.NAME
    return len(projects.load(path).contests) if path.is_file() else 0


@pytest.mark.full
def test_what_was_measured_outlives_the_end_of_a_session(tmp_path: Path) -> None:
    """One killed worker costs at most its own test: the others are still compared."""
    repository, process = started(tmp_path)
    scratch = repository.folder.parent / "scratch"
    sessions = [
        pid for pid in processes_in(scratch) if "triptych_gate_session" in Path(f"/proc/{pid}/cmdline").read_text()
    ]
    os.kill(sessions[0], signal.SIGKILL)
    before = measured_until_now(repository)
    wait_for(lambda: measured_until_now(repository) >= before + 2)
    interrupt(process)
    process.communicate(timeout=120)
    assert process.returncode == 130 and repository.left_behind() == []


@pytest.mark.full
@pytest.mark.parametrize("how", ["interrupt", "terminate", "kill"])
def test_what_was_measured_is_judged_however_the_run_ends(tmp_path: Path, how: str) -> None:
    """Ctrl-C, SIGTERM and `kill -9` of the controller: a verdict on what there is, and nothing is left behind."""
    repository, process = started(tmp_path)
    {"interrupt": lambda: interrupt(process), "terminate": process.terminate, "kill": process.kill}[how]()
    said = "".join(process.communicate(timeout=120))
    wait_for(lambda: (repository.results / "gate.json").is_file() and repository.left_behind() == [])
    assert process.returncode == {"interrupt": 130, "terminate": 130, "kill": -signal.SIGKILL}[how], said
    found = repository.outcomes()
    assert sum(item["status"] == "measured" for item in found.values()) >= 2
    assert all(item["ratio"] > 1.1 for item in repository.comparisons().values())
