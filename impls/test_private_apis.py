"""Private names of engines: all that are used stand in the table, and one that is gone is named."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from impls import private_apis

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("torch", "keras", "jax", "tensorflow")
PRIVATE = ("tensorflow.python", "keras.src", "torch._", "jax._src")
ROOMS = ("shim", "port")  # programs are written as their users write them; the worker's counters find out by trying


def modules() -> list[Path]:
    paths = [path for room in ROOMS for path in sorted((ROOT / "impls" / room).rglob("*.py"))]
    return [path for path in paths if not path.name.startswith("test_") and "testing" not in path.parts]


def private_names(tree: ast.AST) -> Iterator[str]:
    """What has a part with an underscore behind an engine's name, `torch._VF.lstm`, and what is of an inner module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            words = ast.unparse(node).split(".")
            if words[0] in ENGINES and any(word.startswith("_") and not word.startswith("__") for word in words):
                yield ".".join(words)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(PRIVATE):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_private_name_stands_in_the_table(path: Path) -> None:
    """A release without it would break in the middle of a training, and nobody would know which release to take."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    known = private_apis.USES.get(module, ())
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {name for name in private_names(tree) if not any(row.startswith(name) for row in known)}
    assert not inner, f"{module} uses {', '.join(sorted(inner))}: add them to impls/private_apis.py"
    if known:
        assert "private_apis.check(__name__)" in path.read_text(encoding="utf-8"), f"{module} checks nothing"


def test_the_releases_are_those_that_are_installed_by_pyproject() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    for engine, release in private_apis.RELEASES.items():
        assert f"{engine}=={release}" in groups[engine]


@pytest.mark.full
@pytest.mark.parametrize("engine", private_apis.RELEASES)
def test_every_name_of_the_table_is_there(engine: str) -> None:
    """A row of something that never was would hide a name that is gone."""
    pytest.importorskip(engine)
    code = f"""
from impls import private_apis
places = [place for row in private_apis.USES.values() for place in row if place.startswith({engine!r} + ".")]
places = [place for place in places if place not in private_apis.CUDA_ONLY]
assert places
assert not [place for place in places if not private_apis.exists(place)]
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_gone_is_told_with_the_release_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(__version__="2.99.0", _foreach_add=abs))
    with pytest.raises(
        ImportError, match=r"torch 2\.99\.0 has no torch\.\S+, which impls\.\S+ uses: torch==2\.\S+ has it"
    ):
        private_apis.check("impls.shim.backends.torch_optimizers")
