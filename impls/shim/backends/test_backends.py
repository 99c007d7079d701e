"""A backend is one short file of the contract's names in the contract's order: it can be read beside the others."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from impls.shim import config

FOLDER = Path(__file__).parent


def bound(statement: ast.stmt) -> list[tuple[str, tuple[str, ...]]]:
    """The names that a statement of a module binds, a function's with its parameters."""
    if isinstance(statement, ast.FunctionDef):
        return [(statement.name, tuple(argument.arg for argument in statement.args.args))]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [(node.id, ()) for target in targets if target for node in ast.walk(target) if isinstance(node, ast.Name)]


def tree(backend: str) -> ast.Module:
    return ast.parse((FOLDER / f"{backend}.py").read_text(encoding="utf-8"))


def seam(backend: str) -> dict[str, tuple[str, ...]]:
    """What a backend defines, in its order: constants, aliases and functions, without its `_helpers`."""
    return {name: given for s in tree(backend).body for name, given in bound(s) if not name.startswith("_")}


def takes_over(backend: str) -> bool:
    """Whether it has from another backend what it does not define (`from ... import *`)."""
    imports = [s for s in tree(backend).body if isinstance(s, ast.ImportFrom)]
    return any(alias.name == "*" for statement in imports for alias in statement.names)


@pytest.mark.parametrize("backend", config.KNOWN)
def test_backends_have_the_same_functions_in_the_same_order(backend: str) -> None:
    """Whoever reads or adds a backend finds every function at the same place, and none that the others lack."""
    contract, found = seam("numpy"), seam(backend)
    assert list(found) == [name for name in contract if name in found or not takes_over(backend)]
    different = {name: p for name, p in found.items() if p and contract[name] not in ((), p)}
    assert not different, f"{backend} has other parameters than the contract: {different}"


@pytest.mark.parametrize("backend", config.KNOWN)
def test_a_backend_is_one_short_file(backend: str) -> None:
    """What grows here is written once for each engine: it belongs above the backends."""
    assert len((FOLDER / f"{backend}.py").read_text(encoding="utf-8").splitlines()) < 300


def test_layers_use_only_what_all_backends_have() -> None:
    """A name that one backend lacks would fail on that backend alone."""
    for path in FOLDER.parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "B":
                assert node.attr in seam("numpy"), f"{path.name}:{node.lineno} uses B.{node.attr}"
