"""Every small change of a source file: another operator, constant, comparison, condition, order of arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

OPERATORS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}


@dataclass(frozen=True)
class Mutant:
    """One change of one line: the text from `column` to `end` becomes `new`."""

    file: str
    line: int
    column: int
    end: int
    old: str
    new: str

    @property
    def name(self) -> str:
        """`impls/shim/activation_functions.py:34:60 0.2 -> 1.2`, by which results are kept."""
        return f"{self.file}:{self.line}:{self.column} {self.old} -> {self.new}"

    def applied(self, source: str) -> str:
        """The source with this change. Raises ValueError where the text is not what it was."""
        lines = source.splitlines(keepends=True)
        line = lines[self.line - 1]
        if line[self.column : self.end] != self.old:
            raise ValueError(f"{self.file}:{self.line} has changed: {self.old!r} is not at {self.column}")
        lines[self.line - 1] = line[: self.column] + self.new + line[self.end :]
        return "".join(lines)


def mutants(file: str, source: str) -> list[Mutant]:
    """All changes of a file, each of which leaves a program that can be compiled."""
    lines = source.splitlines()
    found = []
    for mutant in _of_tree(file, lines, ast.parse(source)):
        try:
            compile(mutant.applied(source), file, "exec")
        except SyntaxError:
            continue
        found.append(mutant)
    return list(dict.fromkeys(found))


def _of_tree(file: str, lines: list[str], tree: ast.AST) -> Iterator[Mutant]:
    for node in _judged(tree):
        if isinstance(node, ast.BinOp):
            yield from _between(file, lines, node.left, node.op, node.right)
        elif isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
                yield from _between(file, lines, left, operator, right)
        elif isinstance(node, ast.BoolOp):
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from _between(file, lines, left, node.op, right)
        elif isinstance(node, ast.Constant):
            yield from _constant(file, lines, node)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
            yield from _replaced(file, lines, node, _text(lines, node.operand))
        elif isinstance(node, ast.Call):
            yield from _swapped(file, lines, node)
        elif isinstance(node, (ast.If, ast.IfExp)):
            yield from _replaced(file, lines, node.test, f"not ({_text(lines, node.test)})")


def _judged(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that compute: no docstrings, no annotations, nothing of what an error says."""
    if isinstance(node, (ast.Raise, ast.Import, ast.ImportFrom, ast.JoinedStr)):
        return
    yield node
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        return  # -1 becomes 1; -2 would mean the same to a reshape
    for name, field in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_comment"):
            continue
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.AST) and not _says_something(child):
                yield from _judged(child)


def _says_something(node: ast.AST) -> bool:
    """Whether it is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _text(lines: list[str], node: ast.expr) -> str:
    return lines[node.lineno - 1][_column(lines, node) : _end(lines, node)] if node.lineno == node.end_lineno else ""


def _column(lines: list[str], node: ast.expr) -> int:
    """In characters: the tree counts bytes."""
    return len(lines[node.lineno - 1].encode()[: node.col_offset].decode())


def _end(lines: list[str], node: ast.expr) -> int:
    return len(lines[node.lineno - 1].encode()[: node.end_col_offset].decode())


def _between(file: str, lines: list[str], left: ast.expr, operator: ast.AST, right: ast.expr) -> Iterator[Mutant]:
    """Another operator between two operands on one line."""
    old, new = OPERATORS.get(type(operator), ("", ""))
    if not old or left.end_lineno != right.lineno:
        return
    start = len(lines[right.lineno - 1].encode()[: left.end_col_offset].decode())
    at = lines[right.lineno - 1].find(old, start, _column(lines, right))
    if at >= 0:
        yield Mutant(file, right.lineno, at, at + len(old), old, new)


def _constant(file: str, lines: list[str], node: ast.Constant) -> Iterator[Mutant]:
    if isinstance(node.value, bool):
        yield from _replaced(file, lines, node, str(not node.value))
    elif isinstance(node.value, int):
        yield from _replaced(file, lines, node, str(node.value + 1))
    elif isinstance(node.value, float):
        yield from _replaced(file, lines, node, repr(node.value * 1.5 if node.value else 1.0))


def _replaced(file: str, lines: list[str], node: ast.expr, new: str) -> Iterator[Mutant]:
    old = _text(lines, node)
    if old and new and old != new:
        yield Mutant(file, node.lineno, _column(lines, node), _end(lines, node), old, new)


def _swapped(file: str, lines: list[str], node: ast.Call) -> Iterator[Mutant]:
    """The first two arguments of a call, in the other order."""
    if len(node.args) < 2 or any(isinstance(each, ast.Starred) for each in node.args[:2]):
        return
    first, second = node.args[:2]
    one, other = _text(lines, first), _text(lines, second)
    if not one or not other or one == other or first.lineno != second.lineno:
        return
    start, end = _column(lines, first), _end(lines, second)
    middle = lines[first.lineno - 1][_end(lines, first) : _column(lines, second)]
    yield Mutant(file, first.lineno, start, end, lines[first.lineno - 1][start:end], f"{other}{middle}{one}")
