"""Make a tree differ in its text and in nothing that it computes: what an A/A control of different trees compares.

Remarks are added, neighbouring functions of a module change places, and local variables get other names. The tree lies
in another folder anyway. Only what is certainly harmless is changed: a function with an inner scope keeps its names.
"""

from __future__ import annotations

import ast
import itertools
import random
from pathlib import Path

from suites.projects.changes import is_test_material
from suites.projects.wheels import HIDDEN

REMARK = "# A remark of {} words that says nothing, so that every line below it lies elsewhere.\n"
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp)
OTHERS = (
    ast.GeneratorExp,
    ast.Global,
    ast.Nonlocal,
    ast.Import,
    ast.ImportFrom,
    ast.ExceptHandler,
    ast.Match,
    ast.Delete,
)
SEES_NAMES = {"locals", "vars", "eval", "exec", "dir", "__class__", "super"}


def disguise(tree: Path, seed: int) -> int:
    """Change the modules of a tree that are neither tests nor benchmarks; how many were."""
    rng, changed = random.Random(seed), 0
    for path in sorted(tree.rglob("*.py")):
        name = path.relative_to(tree)
        if HIDDEN & set(name.parts) or is_test_material(str(name)) or name.name in ("setup.py", "noxfile.py"):
            continue
        try:
            before = path.read_text(encoding="utf-8")
            after = disguised(before, rng)
            compile(after, str(path), "exec")
        except (OSError, ValueError, SyntaxError, RecursionError):
            continue
        path.write_text(after, encoding="utf-8")
        changed += after != before
    return changed


def disguised(source: str, rng: random.Random) -> str:
    """The same program in other words."""
    module = ast.parse(source)
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and has_one_scope(node):
            rename(node, f"_{rng.randrange(100)}")
    exchange(module)
    remarks = "".join(REMARK.format(rng.randrange(100)) for _ in range(rng.randrange(1, 40)))
    return f"{remarks}{ast.unparse(module)}\n"


def has_one_scope(function: ast.FunctionDef) -> bool:
    """Whether every plain name in a function is its own or a global's."""
    for node in ast.walk(function):
        if node is not function and isinstance(node, SCOPES + OTHERS):
            return False
        if isinstance(node, ast.Name) and node.id in SEES_NAMES:
            return False
    return True


def rename(function: ast.FunctionDef, ending: str) -> None:
    """Other names for the variables that a function assigns, its arguments not among them."""
    arguments = {item.arg for item in ast.walk(function.args) if isinstance(item, ast.arg)}
    inside = itertools.chain.from_iterable(map(ast.walk, function.body))
    body = [node for node in inside if isinstance(node, ast.Name)]
    mine = {node.id for node in body if isinstance(node.ctx, ast.Store)} - arguments
    for node in body:
        if node.id in mine:
            node.id += ending


def exchange(module: ast.Module) -> None:
    """Neighbouring functions change places, where nothing is computed when they are defined."""
    body, index = module.body, 0
    while index + 1 < len(body):
        first, second = body[index], body[index + 1]
        if is_movable(first) and is_movable(second) and first.name != second.name:  # type: ignore[attr-defined]
            body[index], body[index + 1] = second, first
            index += 1
        index += 1


def is_movable(node: ast.stmt) -> bool:
    """Whether a statement defines a function and computes nothing but constants in doing so."""
    if not isinstance(node, ast.FunctionDef) or node.decorator_list:
        return False
    defaults = [item for item in (*node.args.defaults, *node.args.kw_defaults) if item is not None]
    annotated = node.returns is not None or any(
        item.annotation is not None for item in ast.walk(node.args) if isinstance(item, ast.arg)
    )
    return not annotated and all(isinstance(item, ast.Constant) for item in defaults)
