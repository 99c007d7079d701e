"""What a program costs its reader, counted from its syntax so that layout cannot win.

Definitions, each held by a golden test:

- logical lines: statements of the syntax tree. A compound statement counts one and so does each statement inside it;
  `elif` is an `if` of its own; `else`, `except`, `finally`, `case`, decorators and docstrings count nothing.
- tokens: what `tokenize` gives for the program after `ast.unparse`, without newlines and indents. That formatter is
  part of the standard library, needs no process of its own and drops comments, redundant parentheses, trailing
  commas and the choice of quotes. Docstrings are left out. An f-string is one token on every Python.
- complexity: McCabe's cyclomatic number of a function, 1 and one more for each `if`, `elif`, conditional expression,
  `for`, `while`, `except`, `case` (not the bare `_`), `case` guard, comprehension `for` and `if`, and for each `and`
  or `or`. A nested function is counted on its own, a lambda with the function that holds it.
  A program's complexity is the sum over its functions and the branches outside of them.
- nesting: the largest number of `if`, `for`, `while`, `try`, `with` and `match` around a statement.
- names: the distinct API names a reader meets: dotted names that start at an import, with aliases resolved, and
  `.name` for each method called on another value, unless the program defines that name itself.
- sections: top-level statements, by the heading comment above them; before the first heading they are "imports", and
  the `if __name__ == "__main__":` part is "main".

A token count per function includes the functions inside it.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from suites.records import Function, Program, Section

ROOT = Path(__file__).parents[2]
HEADINGS = ("Model", "Loss", "Optimizer", "Training", "Prediction")
IMPORTS, MAIN = "imports", "main"

LAYOUT = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}
FSTRING_START = getattr(tokenize, "FSTRING_START", -1)  # Python 3.12 splits an f-string into many tokens
FSTRING_END = getattr(tokenize, "FSTRING_END", -1)

TRY_STAR = getattr(ast, "TryStar", ast.Try)  # Python 3.11

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
NESTS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, TRY_STAR, ast.With, ast.AsyncWith, ast.Match)
FORKS = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler)


class ProgramError(ValueError):
    """A program that is missing or can't be parsed; the message names it."""


def program(model: str, implementation: str, root: Path = ROOT) -> Program:
    """The counts of `impls/<model>/<implementation>.py`. Raises ProgramError where it is missing or no Python."""
    path = root / "impls" / model / f"{implementation}.py"
    name = path.relative_to(root).as_posix()
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProgramError(f"{name}: can't be read: {error}") from error
    return count(source, model, implementation, name)


def count(source: str, model: str, implementation: str, path: str) -> Program:
    """The counts of `source`, named as a program of `model` and `implementation`. Raises ProgramError."""
    tree = parse(source, path)
    functions = [_function(name, node) for name, node in _functions(tree)]
    return Program(
        model=model,
        implementation=implementation,
        path=path,
        source=source,
        logical_lines=logical_lines(tree),
        tokens=tokens(tree),
        sections=sections(source, tree),
        complexity=sum(function.complexity for function in functions) + _branches(tree),
        nesting=nesting(tree),
        names=names(tree),
        functions=functions,
    )


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


def logical_lines(*nodes: ast.AST) -> int:
    """Statements in `nodes`."""
    return sum(isinstance(node, ast.stmt) for top in nodes for node in ast.walk(top))


def tokens(*nodes: ast.AST) -> int:
    """Tokens of `nodes` after `ast.unparse`."""
    total = depth = 0
    for node in nodes:
        for token in tokenize.generate_tokens(io.StringIO(ast.unparse(node)).readline):
            depth -= token.type == FSTRING_END
            total += depth == 0 and token.type not in LAYOUT and token.type != FSTRING_END
            depth += token.type == FSTRING_START
    return total


def sections(source: str, tree: ast.Module) -> list[Section]:
    """Top-level statements of `tree` by the heading above them; a section's lines end where the next one starts."""
    headings = _headings(source)
    parts = [
        (name, list(nodes)) for name, nodes in groupby(tree.body, key=lambda node: _section_of(node, headings)) if name
    ]
    starts = [_start(name, nodes, headings) for name, nodes in parts]
    ends = [start - 1 for start in starts[1:]] + [len(source.splitlines())]
    return [
        Section(name, logical_lines(*nodes), tokens(*nodes), first_line=start, last_line=end)
        for (name, nodes), start, end in zip(parts, starts, ends, strict=True)
    ]


def nesting(node: ast.AST, counted: bool = True) -> int:
    """The largest number of control blocks of `node` around one of its statements."""
    own = counted and isinstance(node, NESTS)
    chained = _elif(node)
    return own + max((nesting(child, child is not chained) for child in ast.iter_child_nodes(node)), default=0)


def complexity(node: FunctionNode) -> int:
    """McCabe's number of one function, without the functions inside it."""
    return 1 + _branches(node)


def names(tree: ast.Module) -> list[str]:
    """The distinct API names of a program, sorted."""
    aliases, defined = _aliases(tree), _defined(tree)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in inner:
            dotted = _dotted(node)
            if dotted and dotted[0] in aliases:
                found.add(".".join((aliases[dotted[0]], *dotted[1:])))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            dotted = _dotted(node.func)
            if (not dotted or dotted[0] not in aliases) and node.func.attr not in defined:
                found.add("." + node.func.attr)
    return sorted(found)


def _elif(node: ast.AST) -> ast.AST | None:
    """The `elif` of an `if`: no deeper than the `if` itself."""
    alone = isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)
    return node.orelse[0] if alone else None  # type: ignore[attr-defined]


def _function(name: str, node: FunctionNode) -> Function:
    return Function(name, logical_lines(node), tokens(node), complexity(node), nesting(node))


def _functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, FunctionNode]]:
    """Every function in `node` with its qualified name, outer before inner."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode):
            yield prefix + child.name, child
        named = isinstance(child, FunctionNode | ast.ClassDef)
        yield from _functions(child, f"{prefix}{child.name}." if named else prefix)  # type: ignore[attr-defined]


def _branches(node: ast.AST) -> int:
    """Decisions in `node`, its nested functions left out."""
    total = 0
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, FunctionNode):
            total += _decisions(child) + _branches(child)
    return total


def _decisions(node: ast.AST) -> int:
    """How many ways through the program `node` alone adds."""
    match node:
        case ast.BoolOp(values=values):
            return len(values) - 1
        case ast.comprehension(ifs=ifs):
            return 1 + len(ifs)
        case ast.match_case(pattern=pattern, guard=guard):
            return int(ast.unparse(pattern) != "_") + int(guard is not None)
    return int(isinstance(node, FORKS))


def _headings(source: str) -> list[tuple[int, str]]:
    """(line, section) of each heading comment; only a comment on a line of its own at the margin is one."""
    comments = tokenize.generate_tokens(io.StringIO(source).readline)
    found = ((token.start, token.string[1:].strip()) for token in comments if token.type == tokenize.COMMENT)
    return [(line, text) for (line, column), text in found if column == 0 and text in HEADINGS]


def _section_of(node: ast.stmt, headings: list[tuple[int, str]]) -> str:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
        return MAIN
    return next((name for line, name in reversed(headings) if line < node.lineno), IMPORTS)


def _start(name: str, nodes: list[ast.stmt], headings: list[tuple[int, str]]) -> int:
    """The first line of a section: its heading, or the first statement where it has none."""
    first = nodes[0].lineno
    return max((line for line, heading in headings if heading == name and line < first), default=first)


def _aliases(tree: ast.Module) -> dict[str, str]:
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


def _defined(tree: ast.Module) -> set[str]:
    """Names that the program gives to its own functions and classes, and to attributes that it assigns."""
    definitions = {node.name for node in ast.walk(tree) if isinstance(node, FunctionNode | ast.ClassDef)}
    stores = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    return definitions | {node.attr for node in stores}


def _dotted(node: ast.expr) -> tuple[str, ...]:
    """`("tf", "nn", "relu")` for `tf.nn.relu`; empty where the value is not a name."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (base := _dotted(node.value)):
        return (*base, node.attr)
    return ()
