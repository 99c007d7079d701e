"""The seams of the house hold: imports point one way, and what the documents say is what runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from impls import MODELS
from suites.runner.machine import ROOT

FRAMEWORKS = ("tensorflow", "torch", "jax", "keras")
LIST_MODULES = "import sys, {}; print(*sorted(sys.modules))"


def modules_after(imported: str) -> set[str]:
    command = [sys.executable, "-c", LIST_MODULES.format(imported)]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def modules_of(package: str) -> str:
    """Its modules; a folder that is no package holds small programs, each of which runs in a process of its own."""
    files = sorted(path for path in (ROOT / package).rglob("*.py") if not path.name.startswith("test_"))
    files = [path for path in files if (path.parent / "__init__.py").exists()]
    return ", ".join(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)


@pytest.mark.parametrize("package", ["suites", "reports"])
def test_importing_everything_loads_no_framework(package: str) -> None:
    """A suite or a report that loads a framework shares threads and memory with what it measures."""
    loaded = modules_after(modules_of(package))
    assert not loaded & set(FRAMEWORKS)


def test_reports_know_only_the_records_of_the_suites() -> None:
    """And what both sides share: arithmetic, a name. A page that knew more could not be written from a file alone."""
    loaded = modules_after(modules_of("reports"))
    known = {name for name in loaded if name.startswith(("suites", "impls"))}
    assert all(name == "suites" or name.startswith("suites.records") for name in known), known


def test_programs_know_no_harness() -> None:
    """A program is what a user would write; it gets counted and shown, so no harness code may sit in it."""
    programs = [path for model in MODELS for path in (ROOT / "impls" / model).glob("*.py")]
    for path in [*programs, *ROOT.glob("impls/gadgets/*/*.py")]:
        text = path.read_text()
        for word in ("impls.adapters", "impls.worker", "suites", "pytest", "TRIPTYCH_"):
            assert word not in text, f"{path.relative_to(ROOT)} mentions {word}"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """What newcomers type is what CI proves."""
    readme = Path(ROOT, "README.md").read_text()
    (command,) = [line for line in readme.splitlines() if line.endswith("nox -s tests")]
    assert command.strip() in Path(ROOT, ".ci/run").read_text()
