"""Programs that are forks of one process: each begins as if it were the first, and tells how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from impls.shim.testing.forks import Forks, Started


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    started = Started()
    yield started.of(["json"], {"SAID": "here"})
    started.close()


def test_no_program_sees_what_another_did(forks: Forks) -> None:
    """Settings of an engine that stay would make a result depend on which tests came before."""
    first = "import json, os\njson.seen, os.environ['SAID'] = True, 'gone'\nprint('first')"
    assert forks.run(code=first) == (0, "first\n", "")
    second = "import json, os, sys\nprint(hasattr(json, 'seen'), os.environ['SAID'], __name__)"
    assert forks.run(code=second).stdout == "False here __main__\n"


def test_an_end_is_told_as_it_was(forks: Forks, tmp_path: Path) -> None:
    """A program that failed must not read as one that printed nothing."""
    failed = forks.run(code="print(1)\n1 / 0")
    assert (failed.returncode, failed.stdout) == (1, "1\n") and failed.stderr.endswith("division by zero\n")
    assert forks.run(code="raise SystemExit(3)").returncode == 3
    assert forks.run(code="import os; os.kill(os.getpid(), 9)").returncode == -9
    assert forks.run(seconds=1, code="import time; time.sleep(60)").returncode == -14
    path = tmp_path / "program.py"
    path.write_text("print(__file__)")
    assert forks.run(path=str(path)).stdout == f"{path}\n"
