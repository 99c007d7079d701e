"""A tree as it would be installed: one wheel, built once for its content, whose files fill the gaps of a worktree.

Tests import the worktree. What a build adds to the sources, compiled extensions and generated modules, is copied into
the worktree from the wheel, beside the sources; its metadata lie in a folder by themselves.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from email.parser import Parser
from pathlib import Path

from suites.projects.worktrees import Tree

BUILDS = ("pyproject.toml", "setup.py", "setup.cfg")
USUAL_PLACES = ("src", "", "lib", "python")
HIDDEN = {".git", ".tox", ".nox", ".venv", "venv", "build", "node_modules", "__pycache__"}
BUILD_SECONDS = 3600
WORDS = ("error:", "Error", "fatal")


class BuildError(RuntimeError):
    """A tree or its environment can't be built; the message is one line with the reason."""


def run(command: Sequence[str], what: str, cwd: Path | None = None) -> None:
    """Run a command of an installer. Raises BuildError with the line that says why."""
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{what}: {error}") from error
    if done.returncode:
        raise BuildError(f"{what}: {telling_line(done.stdout + done.stderr)}")


def telling_line(output: str) -> str:
    """The last line that names an error, of all that an installer wrote."""
    last, telling = "no output", ""
    for each in output.splitlines():
        line = each.encode("ascii", "ignore").decode().strip(" >")  # pip draws frames
        last = line or last
        if "subprocess-exited" not in line and any(word in line for word in WORDS):
            telling = line
    return (telling or last)[:300]


def is_project(tree: Path) -> bool:
    """Whether it has what an installer builds from."""
    if (tree / "setup.py").is_file():
        return True
    text = (tree / "pyproject.toml").read_text(encoding="utf-8") if (tree / "pyproject.toml").is_file() else ""
    return "[build-system]" in text or "[project]" in text


def build(tree: Tree, python: str, uv: str, kept: Path) -> Path:
    """The wheel of a project, from `kept` if it was built before."""
    known = sorted(kept.glob("*.whl"))
    if known:
        return known[0]
    draft = kept.with_name(kept.name + ".part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    whole = draft / "tree"  # builders write into the tree: not into the one that is measured
    shutil.copytree(tree.top, whole, symlinks=True)
    source = whole / tree.inside
    if uv:
        command = [uv, "build", "--wheel", "--python", python, "--out-dir", str(draft), str(source)]
    else:
        options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--wheel-dir", str(draft)]
        command = [python, "-m", "pip", "wheel", *options, str(source)]
    try:
        run(command, "its wheel can't be built", cwd=source)
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for wheel in draft.glob("*.whl"):
            shutil.move(wheel, kept / wheel.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return next(iter(sorted(kept.glob("*.whl"))))


def requirements(wheel: Path, extras: Sequence[str]) -> list[str]:
    """What a wheel needs, with these of its extras."""
    from packaging.requirements import Requirement

    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(names[0]).decode("utf-8", "replace"))
    found = []
    for text in metadata.get_all("Requires-Dist") or []:
        item = Requirement(text)
        marker, item.marker = item.marker, None
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ["", *extras]):
            found.append(str(item))
    return found


def extras_of(wheel: Path) -> list[str]:
    """The names of its extras."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(names[0]).decode("utf-8", "replace")).get_all("Provides-Extra") or []


def fill(tree: Path, wheel: Path, metadata: Path) -> list[Path]:
    """Copy into the tree what the wheel has and the tree lacks; the folders that are to be on the path."""
    places: dict[str, Path] = {}
    metadata.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            top = name.partition("/")[0]
            if name.endswith("/") or top.endswith(".data"):
                continue
            if top.endswith(".dist-info"):
                archive.extract(name, metadata)
                continue
            if top not in places:
                places[top] = place_of(tree, top) or metadata
            if not (places[top] / name).exists():
                archive.extract(name, places[top])
    return list(dict.fromkeys([*sorted(places.values()), metadata]))


def place_of(tree: Path, top: str) -> Path | None:
    """The folder of the tree that holds the package or module `top`; None where none does."""
    for usual in USUAL_PLACES:
        if (tree / usual / top).exists():
            return tree / usual
    return next((path.parent for path in folders(tree) if path.name == top and (path / "__init__.py").exists()), None)


def folders(tree: Path) -> Iterator[Path]:
    """Every folder of a tree but hidden ones."""
    for path in sorted(tree.iterdir()):
        if path.is_dir() and path.name not in HIDDEN and not path.is_symlink():
            yield path
            yield from folders(path)


def source_folders(tree: Path) -> list[Path]:
    """What is on the path of a tree that is not built: its `src`, if it has one, and itself."""
    return [*([tree / "src"] if (tree / "src").is_dir() else []), tree]
