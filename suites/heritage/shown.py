"""Runs the smallest programs that show a difference, each in the environment of its engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from impls import BACKENDS
from suites.heritage import environments
from suites.machine import ROOT

FOLDER = Path(__file__).with_name("programs")
SECONDS = 180.0


def command(name: str, implementation: str, backend: str) -> tuple[list[str], dict[str, str]]:
    """How a person repeats it: the interpreter with the program, and the environment variables."""
    environment = environments.of(implementation, backend)
    interpreter = str(environment.interpreter) if environment else sys.executable
    variables = dict(environment.source().environment) if environment else {}
    return [interpreter, str(FOLDER / f"{name}.py")], {"KERAS_BACKEND": BACKENDS[backend].module, **variables}


def shows(name: str, implementation: str, backend: str) -> tuple[bool, str]:
    """Whether the release still does it, and the last line that the program prints."""
    arguments, variables = command(name, implementation, backend)
    process_environment = {**os.environ, **variables}
    run = subprocess.run(
        arguments, cwd=ROOT, env=process_environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    lines = [line for line in run.stdout.splitlines() if line.strip()]
    return run.returncode == 0, lines[-1] if lines else ""
