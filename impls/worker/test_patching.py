"""A planted fault: applied exactly once or refused, and nothing stale can hide it."""

from __future__ import annotations

import importlib
import inspect
import linecache
import py_compile
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from impls.worker import patching

SOURCE = "RATE = 0.01\n\n\ndef step(w):\n    return w - 1 * RATE\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `planted` with a module `program`, forgotten again afterwards."""
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "__init__.py").write_text("NAME = 'planted'\n")
    (folder / "program.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "planted"]:
        del sys.modules[name]


def fault(old: str, new: str, file: str = "planted/program.py") -> dict[str, str]:
    return {"file": file, "old": old, "new": new}


def test_the_patched_text_runs_and_the_file_stays(package: Path) -> None:
    """Bytecode of the unpatched file is there, newer than the file: it must not be taken."""
    py_compile.compile(str(package / "planted" / "program.py"))
    patching.plant(fault("0.01", "0.02"), str(package))
    assert importlib.import_module("planted.program").step(1.0) == 0.98
    assert (package / "planted" / "program.py").read_text() == SOURCE


def test_two_diffs_of_one_file_are_both_there(package: Path) -> None:
    """Of two known differences in one file the oracle would have the last alone, and call the other one a fault."""
    patching.plant(fault("0.01", "0.02"), str(package))
    patching.plant(fault("w - 1", "w + 1"), str(package))
    assert importlib.import_module("planted.program").step(1.0) == 1.02


def test_whoever_reads_the_source_of_a_patched_function_gets_the_patch(package: Path) -> None:
    """TensorFlow's AutoGraph refreshes linecache and compiles what it finds: the file's text would undo the fault."""
    patching.plant(fault("w - 1", "w + 1"), str(package))
    module = importlib.import_module("planted.program")
    for other in list(sys.modules.values()):
        file = getattr(other, "__file__", None)
        if file == inspect.getfile(module.step):
            linecache.updatecache(file, vars(other))
    linecache.checkcache()
    assert "w + 1" in inspect.getsource(module.step)


def test_a_package_can_be_patched(package: Path) -> None:
    patching.plant(fault("'planted'", "'patched'", "planted/__init__.py"), str(package))
    assert importlib.import_module("planted").NAME == "patched"
    assert importlib.import_module("planted.program").RATE == 0.01


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (fault("0.03", "1"), "'0.03' occurs 0 times in planted/program.py, it has to occur exactly once"),
        (fault("RATE", "1"), "'RATE' occurs 2 times"),
        (fault("0.01", "1", "planted/missing.py"), "there is no file planted/missing.py in"),
        (fault("0.01", "1", "planted/notes.txt"), "planted/notes.txt is no Python file"),
    ],
)
def test_a_diff_that_does_not_apply_is_an_error_at_once(package: Path, patch: dict[str, str], message: str) -> None:
    finders = list(sys.meta_path)
    with pytest.raises(patching.PatchError, match=message):
        patching.plant(patch, str(package))
    assert sys.meta_path == finders


def test_a_file_that_runs_already_cannot_be_patched(package: Path) -> None:
    importlib.import_module("planted.program")
    with pytest.raises(patching.PatchError, match="imported before the patch"):
        patching.plant(fault("0.01", "0.02"), str(package))
