"""The single file that serves a model in an interpreter that has NumPy and its framework, and nothing of Triptych.

It is a zip of the worker's modules that any Python from 3.6 on runs. What Python 3.6 cannot read is written otherwise
on the way: `from __future__ import annotations` goes, and annotations become the strings that it would have made of
them, since nothing evaluates them; so does the check that `zip` makes of lengths.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import re
import tempfile
import zipfile
from pathlib import Path

from suites.records.run import write

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = ("impls/*.py", "impls/worker/*.py", "impls/port/*.py")
LEFT_OUT = ("test_",)
OLDEST = (3, 6)
MAIN = """import sys
if "--serve" in sys.argv:
    sys.argv.remove("--serve")
    from impls.port.worker import main
else:
    from impls.port.capture import main
sys.exit(main())
"""
FUTURE = re.compile(r"^from __future__ import annotations\n", re.MULTILINE)
STRICT = re.compile(r",\s*strict=(?:True|False)")


def lowered(source: str, path: str) -> str:
    """The same program for Python 3.6. Raises SyntaxError where it uses what that does not know."""
    found = STRICT.sub("", source)
    if FUTURE.search(found):
        found = FUTURE.sub("\n", quoted(found))
    ast.parse(found, path, feature_version=OLDEST)
    return found


def quoted(source: str) -> str:
    """The same program with every annotation as a string; lines stay where they are."""
    lines = [line.encode() for line in source.split("\n")]
    found = sorted(annotations_of(ast.parse(source)), key=lambda node: (node.lineno, node.col_offset))
    for node in reversed(found):  # what comes before it stays in its place
        text = ast.unparse(node)
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        lines[first : last + 1] = [before + repr(text).encode() + after, *[b""] * (last - first)]
    return b"\n".join(lines).decode()


def annotations_of(tree: ast.Module) -> list[ast.expr]:
    """The outermost ones; none is inside of another."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(node.returns)
        elif isinstance(node, (ast.arg, ast.AnnAssign)):
            found.append(node.annotation)
    return [annotation for annotation in found if annotation is not None]


def modules() -> dict[str, str]:
    """Path in the bundle -> source; a module of a front end that only new Pythons serve stays as it is."""
    found = {}
    for pattern in PARTS:
        for path in sorted(ROOT.glob(pattern)):
            if path.name.startswith(LEFT_OUT):
                continue
            name = path.relative_to(ROOT).as_posix()
            source = path.read_text(encoding="utf-8")
            try:
                found[name] = lowered(source, name)
            except SyntaxError:
                found[name] = source
    return {**found, "__main__.py": MAIN}


def content() -> bytes:
    """The zip file; the same bytes for the same sources."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, source in modules().items():
            file.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), source)
    return b"#!/usr/bin/env python3\n" + buffer.getvalue()


@functools.cache
def path() -> Path:
    """The bundle of these sources in the folder of temporary files."""
    data = content()
    place = Path(tempfile.gettempdir(), f"triptych-capture-{hashlib.sha256(data).hexdigest()[:16]}.pyz")
    return place if place.exists() else write(place, data)
