"""A backend is one short file of the contract's names in the contract's order: it can be read beside the others."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).with_name("backends")
WHOLE = ("tensorflow", "torch", "jax")  # those that take nothing over from another backend


def bound(statement: ast.stmt) -> list[tuple[str, tuple[str, ...]]]:
    """The public names that a statement of a module binds, a function's with its parameters."""
    if isinstance(statement, ast.FunctionDef):
        return [(statement.name, tuple(argument.arg for argument in statement.args.args))]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [(node.id, ()) for target in targets if target for node in ast.walk(target) if isinstance(node, ast.Name)]


def names(backend: str) -> dict[str, tuple[str, ...]]:
    tree = ast.parse((FOLDER / f"{backend}.py").read_text(encoding="utf-8"))
    return {name: parameters for s in tree.body for name, parameters in bound(s) if not name.startswith("_")}


@pytest.mark.parametrize("backend", WHOLE)
def test_a_backend_has_the_names_of_the_contract_in_its_order(backend: str) -> None:
    """A function that only some backends have would be found missing by whoever uses it on another one."""
    contract, found = names("numpy"), names(backend)
    assert list(found) == list(contract)
    different = {name: p for name, p in found.items() if p and contract[name] not in ((), p)}
    assert not different, f"{backend} has other parameters than the contract: {different}"


@pytest.mark.parametrize("backend", ("numpy", *WHOLE))
def test_a_backend_is_one_short_file(backend: str) -> None:
    """What grows here is written once for each engine: it belongs above the backends."""
    assert len((FOLDER / f"{backend}.py").read_text(encoding="utf-8").splitlines()) < 300
