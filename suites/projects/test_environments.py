"""Wheels, and the environments that a project's own build fills."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from suites.projects import wheels
from suites.projects.testing.repository import Repository


def test_a_wheel_fills_the_gaps_of_its_tree(tmp_path: Path) -> None:
    """Extensions and generated modules get beside the sources; the sources stay as they are."""
    tree, wheel = tmp_path / "tree", tmp_path / "toy-1-py3-none-any.whl"
    (tree / "src" / "toy").mkdir(parents=True)
    (tree / "src" / "toy" / "__init__.py").write_text("source = 1")
    with zipfile.ZipFile(wheel, "w") as archive:
        files = {"toy/__init__.py": "built", "toy/_version.py": "v", "toy/_fast.so": "so", "other.py": "o"}
        metadata = (
            "Requires-Dist: numpy>=1\nRequires-Dist: pytest; extra == 'test'\nRequires-Dist: x; python_version < '3'\n"
        )
        for name, text in {**files, "toy-1.dist-info/METADATA": f"{metadata}Provides-Extra: test\n"}.items():
            archive.writestr(name, text)
    paths = wheels.fill(tree, wheel, tmp_path / "metadata")
    assert set(paths) == {tree / "src", tmp_path / "metadata"}
    assert (tree / "src/toy/__init__.py").read_text() == "source = 1"
    assert (tree / "src/toy/_fast.so").is_file() and (tmp_path / "metadata/other.py").is_file()
    assert wheels.requirements(wheel, ["test"]) == ["numpy>=1", "pytest"] and wheels.extras_of(wheel) == ["test"]


BACKEND = '''
"""A build backend of the project's own: its wheel has a module that the sources lack."""
import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "toy-1-py3-none-any.whl"
    files = {
        "toy/__init__.py": open("src/toy/__init__.py").read(),
        "toy/built.py": "def work(n):\\n    return sum(range(n))\\n",
        "toy-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: toy\\nVersion: 1\\n",
        "toy-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: toy\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "toy-1.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(folder + "/" + name, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
'''
BUILT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "toy"
version = "1"
[dependency-groups]
test = ["iniconfig"]
[tool.triptych.gate]
patience = 0
"""
BUILT_TEST = """
from importlib import metadata
import toy
from toy import built

def test_built(benchmark):
    assert metadata.version("toy") == "1" and "worktree" not in toy.__file__
    assert benchmark(built.work, 200) > 0
"""


@pytest.mark.full
@pytest.mark.catalogue
def test_environments_are_made_once_and_a_base_that_cannot_be_built_is_said(tmp_path: Path) -> None:
    """A build that adds modules, no shared environment, and a second run that builds nothing."""
    repository = Repository(tmp_path / "project")
    files = {"backend.py": BACKEND, "pyproject.toml": BUILT, "src/toy/__init__.py": "", "tests/test_toy.py": BUILT_TEST}
    repository.commit({**files, "backend.py": "raise RuntimeError('no compiler here')"})
    repository.commit(files)
    repository.commit({"src/toy/__init__.py": "changed = 1\n"})
    status, said = repository.gate("--base", "HEAD~1", python="")
    if "can't be installed" in said:
        pytest.skip("pip reaches no index of packages here")
    assert list(repository.comparisons()) == ["test_built"] and "building the environment" in said, said
    status, said = repository.gate("--base", "HEAD~2", python="")
    assert status == 0 and "base can't be built" in said and "no compiler here" in said
    assert "building the environment of working tree" not in said
    assert repository.left_behind() == []
