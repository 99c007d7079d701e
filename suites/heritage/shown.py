"""Runs the smallest programs that show a difference, each in the environment of its engine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from impls import BACKENDS
from suites.runner import environments
from suites.runner.machine import ROOT

FOLDER = Path(__file__).with_name("programs")
SECONDS = 180.0
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT)}


class Said(NamedTuple):
    """How a program ended, and the lines that it printed; of one that failed the last line of its errors."""

    ended: bool
    lines: list[str]


def interpreter(environment: environments.Environment | None) -> tuple[str, dict[str, str]]:
    """The Python of an environment, None being this one, and the variables that it needs."""
    if environment is None:
        return sys.executable, {}
    return str(environment.interpreter), dict(environment.source().environment)


def run(name: str, environment: environments.Environment | None, variables: Mapping[str, str]) -> Said:
    """Run a program of the folder; one that takes too long has failed."""
    python, found = interpreter(environment)
    own = {key: value for key, value in os.environ.items() if not key.startswith(("KERAS_", "TRIPTYCH_"))}
    with tempfile.TemporaryDirectory() as home:  # whatever keras.json a user, or another program, has written
        given = {**own, **QUIET, **found, "KERAS_HOME": home, **variables}
        try:
            done = subprocess.run(
                [python, str(FOLDER / f"{name}.py")],
                cwd=ROOT,
                env=given,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            return Said(False, [str(error).splitlines()[0]])
    printed = done.stdout if done.returncode == 0 or not done.stderr.strip() else done.stderr.strip().splitlines()[-1]
    return Said(done.returncode == 0, [line for line in printed.splitlines() if line.strip()])


def shows(name: str, implementation: str, backend: str) -> tuple[bool, str]:
    """Whether the release still does it, and the last line that the program prints."""
    said = run(name, environments.of(implementation, backend), {"KERAS_BACKEND": BACKENDS[backend].module})
    return said.ended, said.lines[-1] if said.lines else ""
