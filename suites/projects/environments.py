"""The environment of a side: what its tests need, installed once and kept for all trees that need the same.

The key is what the dependency files of a tree say and the interpreter, never the commit. A half-made environment is
removed by the janitor, or by the next run; two runs at a time wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suites.projects import wheels
from suites.projects.janitor import Janitor
from suites.projects.sessions import Ground
from suites.projects.wheels import BuildError
from suites.projects.worktrees import Tree
from suites.records import terminal

MARKER = "complete.json"
ALWAYS = ("pytest", "pytest-benchmark")
USUAL = ("test", "tests", "testing", "bench", "benchmark", "benchmarks", "perf", "performance")
OR_ELSE = ("dev", "develop", "development")
LOCKS = (
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "pylock.toml",
    "setup.py",
    "setup.cfg",
    "constraints.txt",
)
TOOLS = ("poetry", "pdm", "hatch", "uv", "flit", "setuptools", "setuptools_scm")
NOT_ASKED = ("version", "description", "readme", "keywords", "authors", "maintainers", "classifiers", "urls", "license")
PROBE = """
import importlib.util, json, sys, sysconfig
from importlib import metadata
names = ("pytest", "pytest_benchmark", "xdist", "pytest_cov", "pytest_timeout", "randomly", "pytest_codspeed")
found = [name for name in names if importlib.util.find_spec(name)]
versions = {item.metadata["Name"]: item.version for item in metadata.distributions() if item.metadata["Name"]}
print(json.dumps({"modules": found, "versions": versions, "python": sys.version.split()[0],
    "tag": "%s-%s" % (sysconfig.get_platform(), sys.version)}))
"""


@dataclass(frozen=True)
class Wishes:
    """What the user wants installed beside the project itself; None: what usually holds the tests' needs."""

    python: str = sys.executable
    extras: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    requirements: tuple[str, ...] | None = None
    packages: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Built:
    """A side that can run: its ground, and the versions in it."""

    ground: Ground
    versions: dict[str, str]
    python: str


def probe(python: str) -> dict[str, Any]:
    """What an interpreter has. Raises BuildError."""
    try:
        done = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, timeout=120, check=True, cwd="/")
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise BuildError(f"{python}: can't be started: {said[-1] if said else error}") from None
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def as_it_is(tree: Tree, python: str) -> Built:
    """A side in the user's own interpreter. Raises BuildError."""
    found = probe(python)
    if "pytest" not in found["modules"]:
        raise BuildError(f"{python}: has no pytest")
    return _built(python, tree, wheels.source_folders(tree.folder), found)


def build(tree: Tree, wishes: Wishes, cache: Path, metadata: Path, janitor: Janitor, deps: Tree | None = None) -> Built:
    """A side in an environment made for it, of the needs of `deps`, where that is another tree. Raises BuildError."""
    uv = shutil.which("uv") or ""
    place = environment(deps or tree, wishes, cache, janitor, uv)
    python = str(place / "bin" / "python")
    if not wheels.is_project(tree.folder):
        paths = wheels.source_folders(tree.folder)
    else:
        wheel = wheels.build(tree, python, uv, cache / "wheels" / wheel_key(tree, wishes))
        paths = wheels.fill(tree.folder, wheel, metadata)
    return _built(python, tree, paths, probe(python))


def _built(python: str, tree: Tree, paths: Sequence[Path], found: dict[str, Any]) -> Built:
    options = ["-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:random_order"]
    options += ["--no-cov"] if "pytest_cov" in found["modules"] else []
    options += ["--timeout=0"] if "pytest_timeout" in found["modules"] else []
    return Built(Ground(python, tree.folder, tuple(paths), tuple(options)), found["versions"], found["python"])


def wheel_key(tree: Tree, wishes: Wishes) -> str:
    """What a wheel depends on: the content of its tree, and the interpreter."""
    return _digest(tree.content, tree.inside, probe(wishes.python)["tag"])


def environment(tree: Tree, wishes: Wishes, cache: Path, janitor: Janitor, uv: str) -> Path:
    """The folder of an environment with what the tests of a tree need."""
    place = cache / "environments" / key(tree.folder, wishes)
    with only_one(place):
        if (place / MARKER).is_file():
            return place
        shutil.rmtree(place, ignore_errors=True)
        janitor.watch_unfinished(place, MARKER)
        terminal.LOG.info(f"building the environment of {tree.name}: once for these dependencies")
        make(tree, wishes, cache, place, uv)
        (place / MARKER).write_text(json.dumps({"tree": tree.name, "commit": tree.commit}), encoding="utf-8")
    return place


@contextmanager
def only_one(place: Path) -> Iterator[None]:
    """Another run that makes the same environment is waited for."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(place.name + ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make(tree: Tree, wishes: Wishes, cache: Path, place: Path, uv: str) -> None:
    """Create the environment, and install into it all that the project and its tests need, not the project."""
    venv = [uv, "venv", "--seed", "--python", wishes.python] if uv else [wishes.python, "-m", "venv"]
    wheels.run([*venv, str(place)], "an environment can't be made")
    python = str(place / "bin" / "python")
    packages = [*ALWAYS, *wishes.packages]
    extras: list[str] = []
    if wheels.is_project(tree.folder):
        wheel = wheels.build(tree, python, uv, cache / "wheels" / wheel_key(tree, wishes))
        extras = chosen(wishes.extras, wheels.extras_of(wheel), "extra")
        packages += wheels.requirements(wheel, extras)
    table = pyproject(tree.folder).get("dependency-groups", {})
    names = chosen(wishes.groups, list(table), "dependency group", fall_back=not extras)
    for name in names:
        packages += group(table, name)
    files = requirement_files(tree.folder, wishes, bool(extras or names))
    packages = [text for text in packages if not _is_itself(text, tree.folder)]
    words = [word for file in files for word in ("-r", str(tree.folder / file))]
    install = [uv, "pip", "install", "--quiet", "--python", python] if uv else [
        python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
    ]  # fmt: skip
    wheels.run([*install, *packages, *words], "its dependencies can't be installed", cwd=tree.folder)


def _is_itself(requirement: str, tree: Path) -> bool:
    """Whether a requirement is the project itself, as in an extra `all = ["name[a,b]"]`."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    name = pyproject(tree).get("project", {}).get("name", "")
    return bool(name) and canonicalize_name(Requirement(requirement).name) == canonicalize_name(name)


def chosen(wanted: Sequence[str] | None, there: Sequence[str], what: str, fall_back: bool = True) -> list[str]:
    """What the user named, or those that usually hold what tests need, or else those for developers."""
    if wanted is not None:
        for name in wanted:
            if name not in there:
                raise BuildError(f"it has no {what} {name!r}: it has {', '.join(there) or 'none'}")
        return list(wanted)
    usual = [name for name in there if name.lower() in USUAL]
    if usual or not fall_back:
        return usual
    return [name for name in there if name.lower() in OR_ELSE]


def group(table: dict[str, Any], name: str, seen: tuple[str, ...] = ()) -> list[str]:
    """The requirements of a dependency group, with those that it includes."""
    if name in seen or name not in table:
        raise BuildError(f"dependency group {name!r}: {'includes itself' if name in seen else 'is not there'}")
    found: list[str] = []
    for item in table[name]:
        found += [item] if isinstance(item, str) else group(table, item["include-group"], (*seen, name))
    return found


def requirement_files(tree: Path, wishes: Wishes, found_others: bool) -> list[str]:
    """The requirements files to install: those named, or those that tests usually have."""
    if wishes.requirements is not None:
        missing = [name for name in wishes.requirements if not (tree / name).is_file()]
        if missing:
            raise BuildError(f"it has no file {missing[0]!r}")
        return list(wishes.requirements)
    if found_others:
        return []
    names = [str(path.relative_to(tree)) for pattern in ("*.txt", "requirements/*.txt") for path in tree.glob(pattern)]
    usual = [name for name in names if "requirements" in name and is_for_tests(Path(name).stem)]
    if "requirements.txt" in names and not wheels.is_project(tree):
        usual.append("requirements.txt")
    return sorted(usual)


def is_for_tests(name: str) -> bool:
    """Whether the name of a requirements file holds a word for what tests need."""
    return any(word in name.lower().replace("requirements", "") for word in USUAL)


def pyproject(tree: Path) -> dict[str, Any]:
    """The tables of its pyproject.toml. Raises BuildError."""
    path = tree / "pyproject.toml"
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BuildError(f"pyproject.toml: {error}") from error


def key(tree: Path, wishes: Wishes) -> str:
    """What an environment depends on."""
    table = pyproject(tree)
    project = {name: value for name, value in table.get("project", {}).items() if name not in NOT_ASKED}
    tools = {name: value for name, value in table.get("tool", {}).items() if name in TOOLS and not _has_version(name)}
    asked = [project, table.get("build-system"), table.get("dependency-groups"), tools, vars(wishes)]
    files = [*LOCKS, *sorted(str(path.relative_to(tree)) for path in tree.glob("**/*requirements*.txt"))]
    texts = [(tree / name).read_text(encoding="utf-8", errors="replace") for name in files if (tree / name).is_file()]
    return _digest(json.dumps(asked, sort_keys=True, default=str), *texts, probe(wishes.python)["tag"])


def _has_version(tool: str) -> bool:
    """Whether a tool's table holds the version of the project, which is no dependency."""
    return tool == "setuptools_scm"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:20]
