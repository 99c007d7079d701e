"""Every backend fulfils the contract: its names in its order, with its parameters."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from impls.shim import config
from impls.shim.backends import contract

FOLDER = Path(__file__).parent

if TYPE_CHECKING:  # mypy compares the types as well; PyTensor and Theano take over names that it does not see so
    from impls.shim.backends import jax, mxnet, numba, numpy, tensorflow, torch

    CHECKED: list[contract.Backend] = [jax, mxnet, numba, numpy, tensorflow, torch]


def bound(statement: ast.stmt) -> list[tuple[str, tuple[str, ...]]]:
    """The names that a statement of a module or class binds, a function's with its parameters."""
    if isinstance(statement, ast.FunctionDef):
        given = statement.args
        names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        several = [f"*{given.vararg.arg}"] if given.vararg else []
        return [(statement.name, (*several, *[name for name in names if name != "self"]))]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [(node.id, ()) for target in targets if target for node in ast.walk(target) if isinstance(node, ast.Name)]


def names_of(body: list[ast.stmt]) -> dict[str, tuple[str, ...]]:
    """What is defined, in its order: constants, aliases and functions, without `_helpers`."""
    return {name: given for s in body for name, given in bound(s) if not name.startswith("_")}


def tree(backend: str) -> ast.Module:
    return ast.parse((FOLDER / f"{backend}.py").read_text(encoding="utf-8"))


CONTRACT = names_of(next(s for s in tree("contract").body if getattr(s, "name", "") == "Backend").body)  # type: ignore[attr-defined]


def star_imports(backend: str) -> list[str]:
    """The backends from which it has what it does not define itself (`from ... import *`)."""
    imports = [s for s in tree(backend).body if isinstance(s, ast.ImportFrom)]
    return [str(s.module).rpartition(".")[2] for s in imports if any(alias.name == "*" for alias in s.names)]


def imported(backend: str) -> set[str]:
    return {
        alias.asname or alias.name for s in tree(backend).body if isinstance(s, ast.ImportFrom) for alias in s.names
    }


def has(backend: str) -> set[str]:
    """Every name of a backend's module, those of its star imports among them."""
    own = imported(backend) | set(names_of(tree(backend).body))
    return own.union(*(has(other) for other in star_imports(backend)))


@pytest.mark.parametrize("backend", config.KNOWN)
def test_a_backend_has_all_functions_of_the_contract_in_its_order(backend: str) -> None:
    """Whoever reads or adds a backend finds every function at the same place, and none that the others lack."""
    found, whole = names_of(tree(backend).body), not star_imports(backend)
    assert not CONTRACT.keys() - has(backend), f"{backend} has no {', '.join(CONTRACT.keys() - has(backend))}"
    assert list(found) == [name for name in CONTRACT if name in found or whole]


@pytest.mark.parametrize("backend", config.KNOWN)
def test_a_backend_has_the_parameters_of_the_contract(backend: str) -> None:
    """Layers call by position and by name: another order or name would fail on that backend alone."""
    found = names_of(tree(backend).body)
    different = {name: given for name, given in found.items() if given and CONTRACT[name] != given}
    assert not different, f"{backend} has other parameters than the contract: {different}"


def test_every_function_of_the_contract_says_what_it_does() -> None:
    """A new backend is written from these sentences and nothing else."""
    for name in CONTRACT:
        if name.islower():
            assert inspect.getdoc(getattr(contract.Backend, name)), name
    assert set(contract.names()) == set(CONTRACT)


def test_a_backend_without_a_function_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would otherwise fail in the middle of a training, at the first layer that needs it."""
    whole = importlib.import_module("impls.shim.backends.numpy")
    halved = ModuleType("impls.shim.backends.numpy")
    vars(halved).update({name: value for name, value in vars(whole).items() if name != "layer_norm"})
    monkeypatch.setitem(sys.modules, halved.__name__, halved)
    with pytest.raises(NotImplementedError, match=r"numpy is no backend yet: it has no layer_norm; .*contract\.py"):
        config.backend_module("numpy")


def test_layers_use_only_what_all_backends_have() -> None:
    """A name that one backend lacks would fail on that backend alone."""
    for path in FOLDER.parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "B":
                assert node.attr in CONTRACT, f"{path.name}:{node.lineno} uses B.{node.attr}"
