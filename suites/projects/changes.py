"""Whether a diff can change anything that a benchmark imports; where it can't, nothing has to be measured."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from suites.projects.worktrees import Tree, changed_files

PROSE = (".md", ".rst", ".adoc")
DOCUMENTS = (
    "docs/*",
    "doc/*",
    "documentation/*",
    "LICENSE*",
    "LICENCE*",
    "AUTHORS*",
    "CHANGELOG*",
    "CHANGES*",
    "NEWS*",
)
CI = (
    ".github/*", ".gitlab/*", ".gitlab-ci.yml", ".circleci/*", ".travis.yml", "appveyor.yml", ".appveyor.yml",
    "azure-pipelines.yml", ".azure-pipelines/*", ".pre-commit-config.yaml", ".readthedocs.y*ml", "codecov.y*ml",
    ".codecov.y*ml", ".coveragerc", ".cirrus.yml", "Jenkinsfile", "renovate.json", ".gitignore", ".gitattributes",
    ".editorconfig", ".mailmap", "CITATION.cff", "CODEOWNERS", "noxfile.py", ".git-blame-ignore-revs", ".flake8",
)  # fmt: skip
TEST_FOLDERS = {"test", "tests", "testing", "bench", "benches", "benchmark", "benchmarks", "perf", "performance"}
WORD = re.compile(r"\bbenchmark")
BENCHMARK = re.compile(r"\bdef test\w*\([^)]*\bbenchmark\b")


def reason_for_green(base: Tree, head: Tree, repository: Path) -> str:
    """Why no benchmark can have changed; nothing where one may have."""
    names = changed_files(base, head, repository)
    if not names:
        return "base and head hold the same files"
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind = kind_of(name, base.top, head.top) or kind_in_project(name, base, head)
        if not kind:
            return ""
        kinds.setdefault(kind, []).append(name)
    return "only " + " and ".join(f"{kind} ({listed(found)})" for kind, found in kinds.items()) + " changed"


def kind_in_project(name: str, base: Tree, head: Tree) -> str:
    """What kind a file is by its place in the project, where that is one of several in its repository."""
    path = PurePosixPath(name)
    if base.inside == "." or not path.is_relative_to(base.inside):
        return ""
    return kind_of(str(path.relative_to(base.inside)), base.folder, head.folder)


def not_collected(top: Path, collected: Iterable[str]) -> list[str]:
    """Files of a tree with tests that take `benchmark`, and that pytest did not collect: it goes by names of files."""
    known = set(collected)
    found = []
    for path in sorted(top.rglob("*.py")):
        name = str(path.relative_to(top))
        if name not in known and BENCHMARK.search(path.read_text("utf-8", "replace")):
            found.append(name)
    return found


def listed(names: list[str]) -> str:
    """A few names, and how many more there are."""
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def kind_of(name: str, base: Path, head: Path) -> str:
    """What kind of harmless file this is; nothing where it may matter."""
    if any(fnmatch(name, pattern) for pattern in CI):
        return "CI and repository files"
    if name.endswith(".py"):
        return kind_of_module(name, base, head)
    in_package = any((tree / folder / "__init__.py").exists() for tree in (base, head) for folder in parents(name))
    if in_package or is_test_material(name):
        return ""  # it may be read as data
    is_document = any(fnmatch(name, pattern) for pattern in DOCUMENTS) or name.endswith(PROSE)
    return "documentation" if is_document else ""


def kind_of_module(name: str, base: Path, head: Path) -> str:
    """Of a Python file: documentation, a test that no benchmark can see, or one whose code is the same."""
    texts = [text_of(tree / name) for tree in (base, head)]
    if all(text is not None for text in texts) and same_code(texts[0] or "", texts[1] or ""):
        return "remarks and layout"
    path = PurePosixPath(name)
    about_benchmarks = any(WORD.search(text or "") for text in texts)
    if about_benchmarks or path.name in ("conftest.py", "__init__.py", "setup.py"):
        return ""
    is_test = path.name.startswith("test_") or path.stem.endswith("_test")
    is_document = path.parts[0] in ("docs", "doc", "documentation")
    if (is_test or is_document) and not any(mentioned(path.stem, name, tree) for tree in (base, head)):
        return "tests that no benchmark imports" if is_test else "documentation"
    return ""


def text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def same_code(base: str, head: str) -> bool:
    """Whether two sources are the same program but for remarks and layout."""
    try:
        return ast.dump(ast.parse(base)) == ast.dump(ast.parse(head))
    except SyntaxError:
        return False


def mentioned(module: str, name: str, tree: Path) -> bool:
    """Whether any other file of the tree names this module, as an import would."""
    command = [
        "git",
        "-C",
        str(tree),
        "grep",
        "-l",
        "-w",
        "-F",
        "-z",
        "--untracked",
        "-e",
        module,
        "--",
        "*.py",
        "*.toml",
        "*.cfg",
        "*.ini",
    ]
    found = subprocess.run(command, capture_output=True, check=False).stdout.decode("utf-8", "surrogateescape")
    return any(other and other != name for other in found.split("\0"))


def parents(name: str) -> Iterable[str]:
    """The folders in which a file lies."""
    return [str(folder) for folder in PurePosixPath(name).parents]


def is_test_material(name: str) -> bool:
    """Whether a file belongs to tests or benchmarks: a test, a conftest, or something in a folder of them."""
    path = PurePosixPath(name)
    is_test = path.name == "conftest.py" or path.name.startswith("test_") or path.stem.endswith("_test")
    return is_test or bool(TEST_FOLDERS & set(path.parent.parts))
