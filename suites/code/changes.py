"""What a change of backend costs: the lines of a raw program that its port can keep, against a setting of an API.

Both programs are laid out by `ast.unparse`, without docstrings, comments and the main part, so that
layout cannot win. A line is kept where it is part of the longest common subsequence of lines: no other account of the
port keeps more. Every other line of the port has to be written.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

from suites.code import counts, syntax
from suites.records.run import Change

ENGINE = "torch"
PORTS = (("raw_tf", "raw_torch"), ("raw_tf", "torch_native"))
SETTINGS = {"tf_keras": "KERAS_BACKEND", "shim": "TRIPTYCH_BACKEND"}


class Rewrite(NamedTuple):
    """Lines of the program before, how many of them stay, and how many of the one after are new."""

    lines: int
    kept: int
    written: int


def changes(model: str, root: Path = counts.ROOT) -> list[Change]:
    """What it costs each way to run `model` on another engine, of those whose programs are written."""
    pairs = [(before, after, "") for before, after in PORTS] + [(way, way, name) for way, name in SETTINGS.items()]
    return [
        Change(model, before, after, ENGINE, *_between(model, before, after, root), setting=setting)
        for before, after, setting in pairs
        if not counts.unwritten(model, before, after, root=root)
    ]


def _between(model: str, before: str, after: str, root: Path) -> Rewrite:
    programs = [counts.program(model, implementation, root) for implementation in (before, after)]
    return rewrite(*(program.source for program in programs))


def rewrite(before: str, after: str) -> Rewrite:
    """The account of a port from one program to another."""
    old, new = laid_out(before), laid_out(after)
    kept = common(old, new)
    return Rewrite(len(old), kept, len(new) - kept)


def laid_out(source: str) -> list[str]:
    """The lines of a program in the standard library's layout."""
    tree = syntax.parse(source)
    tree.body = [node for node in tree.body if not ast.unparse(node).startswith("if __name__")]
    return [line for line in ast.unparse(tree).splitlines() if line.strip()]


def common(old: list[str], new: list[str]) -> int:
    """Length of the longest common subsequence."""
    best = [0] * (len(new) + 1)
    for line in old:
        diagonal = 0
        for at, other in enumerate(new, 1):
            diagonal, best[at] = best[at], diagonal + 1 if line == other else max(best[at], best[at - 1])
    return best[-1]
