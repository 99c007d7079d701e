"""The seams of the house hold: imports point one way, and what the documents say is what runs."""

from __future__ import annotations

import ast
import functools
import graphlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from impls import MODELS
from suites.runner.machine import ROOT

FRAMEWORKS = ("tensorflow", "torch", "jax", "keras")
LIST_MODULES = "import sys, {}; print(*sorted(sys.modules))"


@functools.cache
def modules_after(imported: str) -> set[str]:
    command = [sys.executable, "-c", LIST_MODULES.format(imported)]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def modules_of(package: str) -> str:
    """Its modules; a folder that is no package holds small programs, each of which runs in a process of its own."""
    files = sorted(path for path in (ROOT / package).rglob("*.py") if not _is_test(path))
    files = [path for path in files if (path.parent / "__init__.py").exists()]
    return ", ".join(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)


@pytest.mark.parametrize("package", ["suites", "reports"])
def test_importing_everything_loads_no_framework(package: str) -> None:
    """A suite or a report that loads a framework shares threads and memory with what it measures."""
    loaded = modules_after(modules_of(package))
    assert not loaded & set(FRAMEWORKS)


def test_a_machine_without_packages_makes_its_environments() -> None:
    """The first command of the README runs there: what the noxfile imports needs the standard library alone."""
    code = "import impls.interpreters, triptych.environments, triptych.__main__"
    run = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


ROOMS = re.compile(r"^    ((?:triptych|impls|suites|reports)\S*)  ", re.M)
HOUSES = ("triptych", "impls", "suites", "reports")
OF_IMPLS = (
    "impls.port.vocabulary",
    "impls.worker.patching",
    "impls.worker.operation_counts",
)  # data and text, which suites may know of a worker
Imports = dict[str, set[str]]


@functools.cache
def rooms() -> list[str]:
    """The rooms as CONTRIBUTING.md lists them, those that import first; `reports/{a,b}` are two."""
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("### Rooms\n")[2].partition("\n#")[0]
    found = []
    for path in ROOMS.findall(section):
        start, brace, names = path.partition("{")
        found += [start + name for name in names.rstrip("}").split(",")] if brace else [path]
    return [path.replace("/", ".") for path in found]


def place(module: str) -> int:
    """Which room a module is in, counted from the top."""
    house, _, inside = module.partition(".")
    model = inside.partition(".")[0]
    if house == "impls" and model in MODELS and f"impls.{model}" not in rooms():
        return place("impls.mlp")  # a model without a line of its own is a room like the other models
    known = [name for name in rooms() if f"{module}.".startswith(f"{name}.")]
    return rooms().index(max(known, key=len))


@functools.cache
def sources() -> list[Path]:
    """The files of all houses, tests left out, as paths in the tree."""
    found = []
    for house in HOUSES:
        found += [path.relative_to(ROOT) for path in (ROOT / house).rglob("*.py") if not _is_test(path)]
    return sorted(found)


@functools.cache
def imports() -> Imports:
    """What each module of ours imports of ours, also inside of functions; tests may import whatever they test."""
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in sources()}
    return {name: set(_imported(ROOT / path, modules)) - {name} for name, path in sorted(modules.items())}


def _is_test(path: Path) -> bool:
    return path.name.startswith("test_") or path.name == "conftest.py"


def _imported(path: Path, modules: Iterable[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else node.module for name in submodules]
        else:
            continue
        yield from (name for name in names if name in modules)


def test_the_list_of_rooms_is_the_tree() -> None:
    """A room that is not listed is one that no rule holds for: put it where it belongs, with a word on what it is."""
    folders = {_room_of(path) for path in sources()} - {"suites", "reports"}
    in_the_hall = [path for path in sources() if path.parts[:-1] == ("reports",) and path.stem != "__init__"]
    hall = {f"reports.{path.stem}" for path in in_the_hall}
    of_models = {f"impls.{model}" for model in MODELS}  # a new one is listed by its spec
    assert set(rooms()) | of_models == folders | hall


def _room_of(path: Path) -> str:
    """A house, a folder in it, or a folder of the shim; what is deeper belongs to that room."""
    depth = 3 if path.parts[:2] == ("impls", "shim") else 2
    return ".".join(path.parts[:-1][:depth])


def running_up(found: Imports) -> list[str]:
    """The imports of a room that is listed above the one that imports."""
    lines = []
    for name, others in found.items():
        above = [other for other in sorted(others) if place(other) < place(name)]
        lines += [f"{name} imports {other}" for other in above]
    return lines


def test_no_import_runs_back_up() -> None:
    """Triptych stands on reports, suites and impls; a room knows only those listed below it."""
    assert running_up(imports()) == []


@pytest.mark.parametrize(
    "edge",
    [
        ("suites.records.run", "suites.runner.plan"),
        ("impls.shim.layers", "impls.shim.interop.onnx"),
        ("reports.sections.speed", "reports.claims"),
        ("suites.equivalence.bounds", "triptych.tree"),
    ],
)
def test_an_import_that_runs_up_would_be_seen(edge: tuple[str, str]) -> None:
    assert running_up({edge[0]: {edge[1]}}) == [" imports ".join(edge)]


def test_nothing_imports_in_a_circle() -> None:
    """Two modules that import each other are one, which is read as one and breaks as one."""
    graphlib.TopologicalSorter(imports()).prepare()


def test_reports_know_only_the_records_of_the_suites() -> None:
    """A page that knew more could not be written from a file alone."""
    for name, others in imports().items():
        if name.startswith("reports"):
            assert all(other.startswith(("reports", "suites.records")) for other in others), (name, others)
    loaded = modules_after(modules_of("reports"))
    known = {name for name in loaded if name.startswith(("suites", "impls"))}
    assert all(name == "suites" or name.startswith("suites.records") for name in known), known


def test_suites_know_the_registry_and_the_protocol_of_impls() -> None:
    """What a worker does is asked over the wire: a suite that imported it would share a process with an engine."""
    for name, others in imports().items():
        if name.startswith("suites.") and ".programs" not in name and ".upstream" not in name:
            of_impls = {other for other in others if other.startswith("impls.") and other not in OF_IMPLS}
            assert all(other.count(".") == 1 and not (ROOT / other.replace(".", "/")).is_dir() for other in of_impls), (
                name
            )


def test_programs_know_no_harness() -> None:
    """A program is what a user would write; it gets counted and shown, so no harness code may sit in it."""
    programs = [path for model in MODELS for path in (ROOT / "impls" / model).glob("*.py")]
    for path in [*programs, *ROOT.glob("impls/gadgets/*/*.py")]:
        text = path.read_text()
        for word in ("impls.adapters", "impls.worker", "suites", "pytest", "TRIPTYCH_"):
            assert word not in text, f"{path.relative_to(ROOT)} mentions {word}"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """What newcomers type is what CI proves."""
    readme = Path(ROOT, "README.md").read_text()
    (command,) = [line for line in readme.splitlines() if line.endswith("nox -s tests")]
    assert command.strip() in Path(ROOT, ".ci/run").read_text()
