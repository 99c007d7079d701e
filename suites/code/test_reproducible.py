"""The same counts, byte for byte, in every process and on every Python here."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from impls.interpreters import find_python
from suites.runner.machine import ROOT

COUNTED = """
import dataclasses, json, sys
from impls import MODELS
from suites.code import changes, counts, gadgets
from suites.runner.plan import WRITTEN
programs = [counts.program(model, way) for model in MODELS for way in WRITTEN if not counts.unwritten(model, way)]
records = [gadgets.record(gadget, way, None) for gadget in gadgets.GADGETS for way in gadgets.SHOWN]
ports = [change for model in MODELS for change in changes.changes(model)]
print(json.dumps([dataclasses.asdict(item) for item in (*programs, *records, *ports)]))
"""
OTHERS = ("3.12", "3.13")


def counted(python: str, seed: str) -> bytes:
    """Every count there is, by a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([python, "-c", COUNTED], env=environment, capture_output=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


@pytest.mark.full
@pytest.mark.catalogue
def test_every_process_counts_the_same() -> None:
    """A count that depends on the order of a set would change from run to run."""
    first, second = (counted(sys.executable, seed) for seed in ("1", "2"))
    assert first == second and len(first) > 100_000


def interpreter(version: str) -> str | None:
    """A Python of that version which has what the counters import: on PATH, of pyenv, or of an environment of tox."""
    places = [find_python(version)]
    places += map(str, sorted(ROOT.glob(f".tox/py{version.replace('.', '')}-*/bin/python")))
    wanted = f"import sys, numpy, pydantic; assert sys.version_info[:2] == {tuple(map(int, version.split('.')))}"
    works = (p for p in places if p and not subprocess.run([p, "-c", wanted], capture_output=True).returncode)
    return next(works, None)


@pytest.mark.full
@pytest.mark.parametrize("version", OTHERS)
def test_every_python_counts_the_same(version: str) -> None:
    """Python 3.12 splits f-strings into tokens and 3.13 lays out some code otherwise: no count may follow."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} with numpy and pydantic")
    assert counted(python, "1") == counted(sys.executable, "1")
