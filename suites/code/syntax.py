"""Programs as syntax trees: parsed without their docstrings, cut at their headings, their names resolved."""

from __future__ import annotations

import ast
import io
import tokenize
from itertools import groupby

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
HEADINGS = ("Model", "Loss", "Optimizer", "Training", "Prediction")
IMPORTS, MAIN = "imports", "main"


class ProgramError(ValueError):
    """A program that is missing or can't be parsed; the message names it."""


def parse(source: str, path: str = "program") -> ast.Module:
    """The syntax tree of `source` without its docstrings. Raises ProgramError with the place."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        place = f"{path}:{getattr(error, 'lineno', None) or 1}"
        raise ProgramError(f"{place}: not a Python program: {getattr(error, 'msg', error)}") from error
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | FunctionNode)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree


def parts(source: str, tree: ast.Module) -> list[tuple[str, list[ast.stmt]]]:
    """Top-level statements of `tree` by the heading above them."""
    marked = headings(source)
    runs = groupby(tree.body, key=lambda node: _section_of(node, marked))
    return [(name, list(nodes)) for name, nodes in runs]


def headings(source: str) -> list[tuple[int, str]]:
    """(line, section) of each heading comment; only a comment on a line of its own at the margin is one."""
    comments = tokenize.generate_tokens(io.StringIO(source).readline)
    found = ((token.start, token.string[1:].strip()) for token in comments if token.type == tokenize.COMMENT)
    return [(line, text) for (line, column), text in found if column == 0 and text in HEADINGS]


def _section_of(node: ast.stmt, headings: list[tuple[int, str]]) -> str:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
        return MAIN
    return next((name for line, name in reversed(headings) if line < node.lineno), IMPORTS)


def aliases(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: `{"np": "numpy"}`."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"
    return found


def dotted(node: ast.expr) -> tuple[str, ...]:
    """`("tf", "nn", "relu")` for `tf.nn.relu`; empty where the value is not a name."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (base := dotted(node.value)):
        return (*base, node.attr)
    return ()
