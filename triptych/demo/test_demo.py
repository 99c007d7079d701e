"""What a newcomer tries first does what it says, on whatever engine is here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from triptych import tree
from triptych.demo.__main__ import PORTS, here, write


@pytest.mark.parametrize(
    "engine",
    [
        "numpy",
        pytest.param("torch", marks=pytest.mark.full),
        pytest.param("tensorflow", marks=[pytest.mark.full, pytest.mark.catalogue]),
        pytest.param("jax", marks=[pytest.mark.full, pytest.mark.catalogue]),
    ],
)
def test_the_bug_is_found_named_and_mended(engine: str, tmp_path: Path) -> None:
    if not here(engine):
        pytest.skip(f"{engine} is not installed")
    variables = {**tree.environment(), "HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "triptych", "--json", "demo", "--engine", engine]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (finding,) = json.loads(done.stdout)["result"]["findings"]
    assert finding["signature"] == "epsilon"
    assert os.listdir(tmp_path) in ([], ["home"]), "nothing may be left in the user's folder"


@pytest.mark.parametrize("engine", PORTS)
def test_the_files_that_are_shown_are_python(engine: str, tmp_path: Path) -> None:
    write(engine, tmp_path)
    for name in ("model.py", "port.py", "mended.py"):
        compile((tmp_path / name).read_text(), name, "exec")
    assert "bug" not in (tmp_path / "mended.py").read_text()
