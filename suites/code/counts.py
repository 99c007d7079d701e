"""What a program costs its reader, counted from its syntax so that layout cannot win.

Definitions, each held by a golden test:

- logical lines: statements of the syntax tree. A compound statement counts one and so does each statement inside it;
  `elif` is an `if` of its own; `else`, `except`, `finally`, `case`, decorators and docstrings count nothing.
- tokens: what `tokenize` gives for the program after `ast.unparse`, without newlines and indents. That formatter is
  part of the standard library, needs no process of its own and drops comments, redundant parentheses, trailing
  commas and the choice of quotes. Docstrings are left out. An f-string is one token on every Python, and a tuple has
  its parentheses on every Python, written or not.
- complexity: McCabe's cyclomatic number of a function, 1 and one more for each `if`, `elif`, conditional expression,
  `for`, `while`, `except`, `case` (not the bare `_`), `case` guard, comprehension `for` and `if`, and for each `and`
  or `or`. A nested function is counted on its own, a lambda with the function that holds it.
  A program's complexity is the sum over its functions and the branches outside of them.
- cognitive complexity: see `suites.code.cognitive`. A program's is the sum over its outermost functions and what is
  outside of them.
- concepts: see `suites.code.concepts`.
- nesting: the largest number of `if`, `for`, `while`, `try`, `with` and `match` around a statement.
- names: the distinct API names a reader meets: dotted names that start at an import, with aliases resolved, and
  `.name` for each method called on another value, unless the program defines that name itself.
- sections: top-level statements, by the heading comment above them; before the first heading they are "imports", and
  the `if __name__ == "__main__":` part is "main".

A token count per function includes the functions inside it.
"""

from __future__ import annotations

import ast
import copy
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

from suites.code import cognitive, concepts
from suites.code.syntax import FunctionNode, ProgramError, aliases, dotted, headings, parse, parts
from suites.records.run import Function, Program, Section

ROOT = Path(__file__).parents[2]
LAYOUT = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}
FSTRING_START = getattr(tokenize, "FSTRING_START", -1)  # Python 3.12 splits an f-string into many tokens
FSTRING_END = getattr(tokenize, "FSTRING_END", -1)

TRY_STAR = getattr(ast, "TryStar", ast.Try)  # Python 3.11

NESTS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, TRY_STAR, ast.With, ast.AsyncWith, ast.Match)
FORKS = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler)


def path_of(model: str, implementation: str, root: Path = ROOT) -> Path:
    """Where the program of a model and an implementation is, or would be."""
    return root / "impls" / model / f"{implementation}.py"


def unwritten(model: str, *implementations: str, root: Path = ROOT) -> str:
    """Why there is nothing to count: the programs that nobody has written; "" where all are there."""
    paths = [path_of(model, implementation, root) for implementation in implementations]
    missing = [path.relative_to(root).as_posix() for path in paths if not path.is_file()]
    return f"not written: {', '.join(missing)}" if missing else ""


def program(model: str, implementation: str, root: Path = ROOT) -> Program:
    """The counts of `impls/<model>/<implementation>.py`. Raises ProgramError where it is missing or no Python."""
    path = path_of(model, implementation, root)
    name = path.relative_to(root).as_posix()
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProgramError(f"{name}: can't be read: {error}") from error
    return count(source, model, implementation, name)


def count(source: str, model: str, implementation: str, path: str) -> Program:
    """The counts of `source`, named as a program of `model` and `implementation`. Raises ProgramError."""
    tree = parse(source, path)
    cycles = cognitive.cycles(tree)
    functions = [_function(name, node, cycles) for name, node in _functions(tree)]
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
        cognitive=cognitive.cognitive(tree, cycles),
        concepts=concepts.shown(tree, source),
    )


def logical_lines(*nodes: ast.AST) -> int:
    """Statements in `nodes`."""
    return sum(isinstance(node, ast.stmt) for top in nodes for node in ast.walk(top))


class _Bracketed(ast.NodeTransformer):
    """Tuples as lists: Python 3.10 writes more of their parentheses than 3.11 does, and brackets are always written."""

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        return self.generic_visit(ast.List(node.elts, node.ctx))


def tokens(*nodes: ast.AST) -> int:
    """Tokens of `nodes` after `ast.unparse`."""
    total = depth = 0
    for node in nodes:
        text = ast.unparse(_Bracketed().visit(copy.deepcopy(node)))
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            depth -= token.type == FSTRING_END
            total += depth == 0 and token.type not in LAYOUT and token.type != FSTRING_END
            depth += token.type == FSTRING_START
    return total


def sections(source: str, tree: ast.Module) -> list[Section]:
    """What each section counts; its lines end where the next one starts."""
    marked, found = headings(source), parts(source, tree)
    starts = [_start(name, nodes, marked) for name, nodes in found]
    ends = [start - 1 for start in starts[1:]] + [len(source.splitlines())]
    return [
        Section(name, logical_lines(*nodes), tokens(*nodes), first_line=start, last_line=end)
        for (name, nodes), start, end in zip(found, starts, ends, strict=True)
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
    known, defined = aliases(tree), _defined(tree)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in inner:
            parts = dotted(node)
            if parts and parts[0] in known:
                found.add(".".join((known[parts[0]], *parts[1:])))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            parts = dotted(node.func)
            if (not parts or parts[0] not in known) and node.func.attr not in defined:
                found.add("." + node.func.attr)
    return sorted(found)


def _elif(node: ast.AST) -> ast.AST | None:
    """The `elif` of an `if`: no deeper than the `if` itself."""
    alone = isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)
    return node.orelse[0] if alone else None  # type: ignore[attr-defined]


def _function(name: str, node: FunctionNode, cycles: frozenset[str]) -> Function:
    own = cognitive.cognitive(node, cycles)
    return Function(name, logical_lines(node), tokens(node), complexity(node), nesting(node), own)


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


def _start(name: str, nodes: list[ast.stmt], headings: list[tuple[int, str]]) -> int:
    """The first line of a section: its heading, or the first statement where it has none."""
    first = nodes[0].lineno
    return max((line for line, heading in headings if heading == name and line < first), default=first)


def _defined(tree: ast.Module) -> set[str]:
    """Names that the program gives to its own functions and classes, and to attributes that it assigns."""
    definitions = {node.name for node in ast.walk(tree) if isinstance(node, FunctionNode | ast.ClassDef)}
    stores = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    return definitions | {node.attr for node in stores}
