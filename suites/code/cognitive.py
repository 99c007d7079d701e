"""Cognitive complexity: how hard control flow is to follow, after G. Ann Campbell's white paper (SonarSource, 2023).

- 1, and one more for each level of nesting: `if`, conditional expression, `for`, `while`, `except`, `match`.
- 1: `elif`, and `else` of anything.
- 1 for each run of the same operator, `and` or `or`, in an expression.
- 1 for each function in a cycle of calls, recursion being the shortest; a call is `name(...)` or `self.name(...)`.
- Nesting grows inside all of the first, inside a lambda, and inside a function that another one holds, unless that one
  does nothing but define and return it, as a decorator does.

The paper says nothing of comprehensions, which count nothing here, as in its author's analyser of Python; nor do `try`,
`with`, `finally`, `break` and `continue`. A function counts with those inside it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from suites.code.syntax import FunctionNode

TRY = ast.Try | getattr(ast, "TryStar", ast.Try)  # Python 3.11
LOOPS = ast.For | ast.AsyncFor | ast.While
DEEPER = ast.If | ast.IfExp | LOOPS | ast.ExceptHandler | ast.Match
OBJECTS = {"self", "cls"}


def cognitive(node: ast.AST, cycles: frozenset[str]) -> int:
    """The complexity of a function or of a whole program; `cycles` are the functions that a cycle of calls holds."""
    return _inside(node, _Place(0, node, node if isinstance(node, FunctionNode) else None), cycles) + _cyclic(
        node, cycles
    )


def cycles(tree: ast.Module) -> frozenset[str]:
    """The names of the functions that can come to call themselves."""
    functions = [node for node in ast.walk(tree) if isinstance(node, FunctionNode)]
    reached: dict[str, set[str]] = {}
    for function in functions:
        reached.setdefault(function.name, set()).update(_called(function))
    for middle in reached:
        for known in reached.values():
            if middle in known:
                known |= reached[middle]
    return frozenset(name for name, known in reached.items() if name in known)


def _called(function: FunctionNode) -> Iterable[str]:
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id=name)):
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)) if owner in OBJECTS:
                yield name


class _Place(NamedTuple):
    """Where a node stands: its level of nesting, the node around it, the function around it."""

    depth: int
    parent: ast.AST
    holder: FunctionNode | None


def _inside(node: ast.AST, place: _Place, cycles: frozenset[str]) -> int:
    return sum(_of(child, place, cycles) for child in ast.iter_child_nodes(node))


def _of(node: ast.AST, place: _Place, cycles: frozenset[str]) -> int:
    """What `node` and all inside it add."""
    depth, parent, holder = place
    chained = _elif(parent) is node
    depth -= chained  # an `elif` stands where its `if` does
    deeper = isinstance(node, DEEPER)
    own = (1 if chained else 1 + depth) if deeper else 0
    own += _else(node) + _cyclic(node, cycles) + _runs(node, parent)
    holding = node if isinstance(node, FunctionNode) else holder
    beside = _Place(depth, node, holding)
    inner = _Place(depth + int(deeper or _nests(node, holder)), node, holding)
    for child in ast.iter_child_nodes(node):
        own += _of(child, beside if _beside(node, child) else inner, cycles)
    return own


def _beside(node: ast.AST, child: ast.AST) -> bool:
    """Whether `child` is a condition, an iterable or a decorator: it stands where its statement does."""
    return isinstance(node, ast.stmt) and isinstance(child, ast.expr)


def _cyclic(node: ast.AST, cycles: frozenset[str]) -> int:
    return int(isinstance(node, FunctionNode) and node.name in cycles)


def _elif(node: ast.AST) -> ast.AST | None:
    """The `elif` of an `if`."""
    alone = isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)
    return node.orelse[0] if alone else None  # type: ignore[attr-defined]


def _else(node: ast.AST) -> int:
    """1 for an `else`; an `elif` counts by itself."""
    return int(isinstance(node, ast.If | LOOPS | TRY) and bool(node.orelse) and _elif(node) is None)


def _runs(node: ast.AST, parent: ast.AST) -> int:
    """Runs of the same operator in a whole expression of `and` and `or`."""
    if not isinstance(node, ast.BoolOp) or isinstance(parent, ast.BoolOp):
        return 0
    return len(list(groupby(_operators(node))))


def _operators(node: ast.BoolOp) -> list[type[ast.boolop]]:
    """The operators of an expression from left to right."""
    found: list[type[ast.boolop]] = []
    for at, value in enumerate(node.values):
        found += [type(node.op)] if at else []
        found += _operators(value) if isinstance(value, ast.BoolOp) else []
    return found


def _nests(node: ast.AST, holder: FunctionNode | None) -> bool:
    """Whether a function or lambda makes what it holds harder to follow."""
    inner = isinstance(node, FunctionNode) and holder is not None and not _wraps(holder)
    return inner or isinstance(node, ast.Lambda)


def _wraps(function: FunctionNode) -> bool:
    """Whether a function only defines another one and returns a name, as a decorator does."""
    others = [node for node in function.body if not isinstance(node, FunctionNode)]
    returns = all(isinstance(node, ast.Return) and isinstance(node.value, ast.Name) for node in others)
    return returns and len(function.body) - len(others) == 1
