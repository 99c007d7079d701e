"""Functions of engines that a campaign found wrong, and who calls them: a user of the shim must not.

They are the functions in the expressions of operations with a known difference, of PyTorch, JAX and TensorFlow's own.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from impls.known_differences import DIFFERENCE
from suites.campaign import tables
from suites.campaign.known import KNOWN
from suites.campaign.operations import OPERATIONS

__all__ = ["Call", "calls", "found_wrong", "tables"]
PREFIXES = {"F": "torch.nn.functional", "jnp": "jax.numpy", "lax": "jax.lax", "tf": "tensorflow"}
MADE_OF = {  # what calls them in its turn
    "torch.nn.functional.group_norm": ("torch.nn.GroupNorm", "torch.group_norm", "torch.native_group_norm"),
    "tensorflow.nn.convolution": ("tensorflow.nn.conv3d",),
    "tensorflow.nn.elu": ("tensorflow.keras.activations.elu",),
}
TYPES = "float32", "float64", "bfloat16", "int32"


class Call(NamedTuple):
    """A function that a program names, and where."""

    function: str
    line: int


@functools.cache
def found_wrong(engine: str) -> dict[str, str]:
    """By function, in full, why it is known to compute something else."""
    found = {}
    for name, operation in OPERATIONS.items():
        why = _why(name, f"{engine}-{engine}-eager") if engine in operation.forms else ""
        for call in calls(operation.forms[engine], engine) if why else ():
            found.update(dict.fromkeys([call.function, *MADE_OF.get(call.function, ())], why))
    return found


def _why(operation: str, realisation: str) -> str:
    """What is known of an operation in an engine, in any type; errors, which are not silent, are left out."""
    for entry in KNOWN:
        silent = entry.kind == DIFFERENCE and not entry.says
        if silent and any(entry.covers(operation, realisation, dtype, ratio=1.0) for dtype in TYPES):
            return entry.why
    return ""


def calls(source: str, engine: str) -> list[Call]:
    """The functions of an engine that a program names, by their full names, whatever it calls the modules."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    names = {**PREFIXES, **{alias: full for node in nodes for alias, full in _imported(node)}}
    modules = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    found = []
    for node in nodes:
        if isinstance(node, ast.Attribute) and id(node) not in modules:
            root, *rest = _dotted(node).split(".")
            full = ".".join([names.get(root, root), *rest])
            if full.partition(".")[0] == engine:
                found.append(Call(full, node.lineno))
    return found


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """What an import binds: the name, and what it stands for."""
    if isinstance(node, ast.Import):
        yield from ((each.asname, each.name) for each in node.names if each.asname)
    elif isinstance(node, ast.ImportFrom):
        yield from ((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)


def _dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute of an attribute; what is no plain name has none at its root."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def wrong_calls(path: Path, engine: str) -> list[str]:
    """Where a program calls what was found wrong."""
    wrong = found_wrong(engine)
    return [
        f"{path}:{call.line}: {call.function}: {wrong[call.function]}"
        for call in calls(path.read_text(encoding="utf-8"), engine)
        if call.function in wrong
    ]
