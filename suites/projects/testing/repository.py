"""A small repository of a user with two commits, and a gate run in it as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from suites.runner.machine import ROOT

PYPROJECT = """
[project]
name = "toy"
version = "1"
[tool.pytest.ini_options]
addopts = "--strict-markers"
[tool.triptych.gate]
patience = 0
longest = 600
"""
QUICKLY = """
[tool.triptych.gate.variables]
PYTEST_DISABLE_PLUGIN_AUTOLOAD = "1"
"""
MODULE = """
def work(n):
    total = 0
    for i in range(n):
        total += i * i
    return total
"""
TESTS = """
import toy

def test_work(benchmark):
    assert benchmark(toy.work, 200) > 0

def test_other():
    assert toy.work(3) == 5
"""
SLOWER = MODULE.replace("total += i * i", "total += i * i\n        total += i * 0")


def interruptible() -> None:
    """Ctrl-C ends what is started here even where the tests run in a shell's background, which has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Repository:
    """A folder under git; every call of `commit` is a commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = folder  # where the gate is run
        self.results = folder.parent / "results"
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.email", "somebody@example.org")
        self.git("config", "user.name", "Somebody")

    def git(self, *words: str) -> str:
        command = ["git", "-C", str(self.folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def write(self, files: Mapping[str, str | None]) -> Repository:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        return self

    def commit(self, files: Mapping[str, str | None]) -> str:
        self.write(files).git("add", "--all")
        self.git("commit", "--quiet", "--message", "one more")
        return self.git("rev-parse", "HEAD").strip()

    def start(self, *words: str, python: str = sys.executable) -> subprocess.Popen[str]:
        """`triptych gate` in this repository; its temporary files lie in a folder beside it."""
        scratch = self.folder.parent / "scratch"
        scratch.mkdir(exist_ok=True)
        command = [sys.executable, "-P", "-m", "triptych.gate", "--results", str(self.results), *words]
        command += [f"--base-env={python}"] if python else []
        cache = str(self.folder.parent / "cache")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch), "XDG_CACHE_HOME": cache}
        return subprocess.Popen(
            command,
            cwd=self.place,
            env=environment,
            text=True,
            start_new_session=True,
            preexec_fn=interruptible,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def gate(self, *words: str, python: str = sys.executable) -> tuple[int, str]:
        """Exit status and everything that `triptych gate` says."""
        process = self.start(*words, python=python)
        out, error = process.communicate(timeout=580)
        return process.returncode, out + error

    def judged(self) -> dict[str, Any]:
        """What the gate has written in gate.json."""
        content: dict[str, Any] = json.loads((self.results / "gate.json").read_text())
        return content

    def outcomes(self) -> dict[str, Any]:
        """What became of each test, by its name."""
        return {item["id"].rpartition("::")[2]: item for item in self.judged()["tests"]}

    def comparisons(self, role: str = "gate") -> dict[str, Any]:
        """What was compared, by the name of the test: of the gate itself, or of a control."""
        found = [item for item in self.judged()["comparisons"] if item["role"] == role]
        return {item["test"].rpartition("::")[2]: item for item in found}

    def left_behind(self) -> list[str]:
        """Worktrees, files and processes that a run has left."""
        trees = [
            line for line in self.git("worktree", "list").splitlines() if not line.startswith(str(self.folder) + " ")
        ]
        scratch = self.folder.parent / "scratch"
        files = [str(path) for path in scratch.iterdir()]
        return trees + files + [f"process {pid}" for pid in processes_in(scratch)]


def processes_in(folder: Path) -> list[int]:
    """Processes one of whose words names this folder, or a file in it."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(int(place.name))
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Return when something has become true; raises TimeoutError."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C."""
    os.killpg(process.pid, signal.SIGINT)
