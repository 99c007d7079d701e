"""The gate in a repository of somebody who has never heard of it: what is compared, what is said, what is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from suites.gate.paired_rounds import Duel
from suites.projects import changes, disguise, rounds, table, wheels
from suites.projects.testing.repository import (
    MODULE,
    PYPROJECT,
    QUICKLY,
    SLOWER,
    Repository,
    interrupt,
    processes_in,
    wait_for,
)  # fmt: skip
from suites.records import projects

TESTS = """
import toy

def test_work(benchmark):
    assert benchmark(toy.work, 200) > 0

def test_other():
    assert toy.work(3) == 5
"""
KINDS = """
import asyncio
import pytest
import toy

@pytest.fixture(scope="module")
def numbers():
    made = list(range(50))
    yield made
    assert made == list(range(50))

@pytest.mark.parametrize("n", [20, 80])
def test_parameters(benchmark, n):
    assert benchmark(toy.work, n=n) > 0

@pytest.mark.benchmark(group="sums", disable_gc=True)
class TestSums:
    def test_decorated(self, benchmark, numbers):
        benchmark.extra_info["numbers"] = len(numbers)

        @benchmark
        def total():
            return sum(numbers)

        assert benchmark.stats["min"] <= benchmark.stats.stats.mean

    def test_pedantic(self, benchmark):
        calls = []
        cleared = []

        def setup():
            calls.append(1)
            return ([3, 1, 2],), {"reverse": True}

        def target(items, reverse):
            assert items == [3, 1, 2], "each call gets arguments of its own"
            items.sort(reverse=reverse)
            return items

        done = benchmark.pedantic(target, setup=setup, teardown=lambda items, reverse: cleared.append(1), rounds=3)
        assert done == [3, 2, 1] and len(calls) == len(cleared) > 3

def test_coroutine(benchmark):
    async def nap():
        await asyncio.sleep(0)
        return 7

    assert benchmark(nap) == 7

def test_woven(benchmark):
    benchmark.weave("toy.work")

def test_unused(benchmark):
    pass

def test_twice(benchmark):
    benchmark(toy.work, 3)
    benchmark(toy.work, 3)

def test_broken(benchmark):
    benchmark(toy.work, "a word")

def test_error_expected(benchmark):
    with pytest.raises(TypeError):
        benchmark(toy.work, "a word")
"""
OLD_ONLY = "\ndef test_old(benchmark):\n    benchmark(toy.work, 3)\n"
NEW_ONLY = "\ndef test_new(benchmark):\n    benchmark(toy.work, 3)\n"


def outcomes(repository: Repository) -> dict[str, Any]:
    content = json.loads((repository.results / "gate.json").read_text())
    return {item["id"].rpartition("::")[2]: item for item in content["tests"]}


def comparisons(repository: Repository, role: str = "gate") -> dict[str, Any]:
    content = json.loads((repository.results / "gate.json").read_text())
    return {item["test"].rpartition("::")[2]: item for item in content["comparisons"] if item["role"] == role}


def test_a_slower_function_is_measured_in_both_trees(tmp_path: Path) -> None:
    """The whole way: two worktrees, live sessions, rounds, controls, a verdict, and nothing left behind."""
    repository = Repository(tmp_path / "project")
    strictly = PYPROJECT.replace("--strict-markers", "--strict-markers -W error")  # nor may it warn
    repository.commit({"toy.py": MODULE, "tests/test_toy.py": TESTS, "pyproject.toml": strictly + QUICKLY})
    repository.write({"toy.py": SLOWER})
    status, said = repository.gate("--base", "HEAD")
    found = comparisons(repository)
    assert list(found) == ["test_work"] and found["test_work"]["ratio"] > 1.1, said
    assert (
        status == {"regression": 1, "unfit": 2}[json.loads((repository.results / "gate.json").read_text())["verdict"]]
    )
    assert comparisons(repository, "canary") and comparisons(repository, "twin"), said
    for name in ("gate.md", "gate.xml"):
        assert "test_work" in (repository.results / name).read_text()
    assert repository.left_behind() == [] and repository.git("status", "--porcelain").strip() == "M toy.py"


@pytest.mark.full
@pytest.mark.catalogue
def test_one_of_several_projects_in_a_repository_is_compared_from_its_folder(tmp_path: Path) -> None:
    """Its own pyproject.toml counts, a path is one from where the user is, and a neighbour's remark changes nothing."""
    repository = Repository(tmp_path / "project")
    own, other = "packages/toy", "packages/other"
    files = {f"{own}/toy.py": MODULE, f"{own}/tests/test_toy.py": TESTS, f"{own}/pyproject.toml": PYPROJECT + QUICKLY}
    repository.commit({**files, f"{other}/pyproject.toml": "[project]\nname = 'other'\n", f"{other}/other.py": ""})
    repository.commit({f"{own}/docs/data.txt": "1", f"{other}/other.py": "# a remark\n"})
    repository.place = repository.folder / own / "tests"
    status, said = repository.gate("--base", "HEAD~1", "test_toy.py")
    assert status == 0 and "documentation (packages/toy/docs/data.txt)" in said, said
    repository.write({f"{own}/toy.py": SLOWER})
    status, said = repository.gate("--base", "HEAD", "test_toy.py")
    assert list(comparisons(repository)) == ["test_work"] and comparisons(repository)["test_work"]["ratio"] > 1.1, said
    assert repository.git("status", "--porcelain").strip() == f"M {own}/toy.py" and repository.left_behind() == []
    assert repository.gate("--init", python="")[0] == 0
    workflow = (repository.folder / ".github" / "workflows" / "gate.yml").read_text()
    assert f"        working-directory: {own}\n" in workflow


@pytest.mark.full
def test_every_use_of_the_fixture_is_measured_or_named(tmp_path: Path) -> None:
    """Under pytest-benchmark itself, with options in the project's configuration that would skip every benchmark."""
    repository = Repository(tmp_path / "project")
    options = PYPROJECT.replace("--strict-markers", "--strict-markers --benchmark-skip -x")
    repository.commit({"toy.py": MODULE, "test_toy.py": KINDS + OLD_ONLY, "pyproject.toml": options})
    new = {"toy.py": MODULE + "\nUNUSED = 1\n", "test_toy.py": KINDS + NEW_ONLY}
    repository.commit({**new, "test_new_file.py": f"import toy\n{NEW_ONLY.replace('test_new', 'test_newer')}"})
    said = repository.gate("--base", "HEAD~1")[1]
    found = outcomes(repository)
    measured = {name for name, item in found.items() if item["status"] == "measured"}
    assert measured == {
        "test_parameters[20]", "test_parameters[80]", "test_decorated", "test_pedantic", "test_coroutine", "test_twice"
    }, said  # fmt: skip
    assert all(not found[name]["reason"] for name in measured - {"test_twice"}), said
    assert found["test_woven"]["status"] == "skipped" and "weave" in found["test_woven"]["reason"]
    assert found["test_unused"]["status"] == "n/a" and found["test_new"]["reason"] == "base has no such test"
    assert found["test_old"]["status"] == "vanished" and found["test_newer"]["status"] == "new"
    assert found["test_broken"]["status"] == "failed" and "TypeError" in found["test_broken"]["reason"]
    assert "the function that it measures ended with an error" in found["test_error_expected"]["reason"]
    assert "can only be used once" in found["test_twice"]["reason"]


@pytest.mark.parametrize("seconds", [1e-5, 0.01, 0.1, 0.9])
def test_the_positive_control_fits_into_a_block_however_long_a_call_is(seconds: float) -> None:
    """Benchmarks of 13 ms and more ended the gate with a traceback, behind all that it had measured."""
    length = rounds.Length(seconds, 1)
    calls = length.control_calls
    duel = Duel(length.units(calls, extra=True), calls, 1 / calls)
    base, head = duel.unit
    assert head == base + 1 <= duel.units * duel.calls
    assert seconds > rounds.VERY_LONG_CALL or length.shortest(calls) <= 60


def started(tmp_path: Path) -> tuple[Repository, Any]:
    """A run over many tests of which the first ones are measured."""
    repository = Repository(tmp_path / "project")
    tests = TESTS + "".join(f"\ndef test_{n}(benchmark):\n    benchmark(toy.work, 200)\n" for n in range(30))
    repository.commit({"toy.py": MODULE, "test_toy.py": tests, "pyproject.toml": PYPROJECT + QUICKLY})
    repository.commit({"toy.py": SLOWER})
    process = repository.start("--base", "HEAD~1")
    wait_for(lambda: measured_until_now(repository) >= 2)
    return repository, process


def measured_until_now(repository: Repository) -> int:
    path = repository.results / projects.NAME
    return len(projects.load(path).contests) if path.is_file() else 0


@pytest.mark.full
def test_what_was_measured_outlives_the_end_of_a_session(tmp_path: Path) -> None:
    """One killed worker costs at most its own test: the others are still compared."""
    repository, process = started(tmp_path)
    scratch = repository.folder.parent / "scratch"
    sessions = [
        pid for pid in processes_in(scratch) if "triptych_gate_session" in Path(f"/proc/{pid}/cmdline").read_text()
    ]
    os.kill(sessions[0], signal.SIGKILL)
    before = measured_until_now(repository)
    wait_for(lambda: measured_until_now(repository) >= before + 2)
    interrupt(process)
    process.communicate(timeout=120)
    assert process.returncode == 130 and repository.left_behind() == []


@pytest.mark.full
@pytest.mark.parametrize("how", ["interrupt", "terminate", "kill"])
def test_what_was_measured_is_judged_however_the_run_ends(tmp_path: Path, how: str) -> None:
    """Ctrl-C, SIGTERM and `kill -9` of the controller: a verdict on what there is, and nothing is left behind."""
    repository, process = started(tmp_path)
    {"interrupt": lambda: interrupt(process), "terminate": process.terminate, "kill": process.kill}[how]()
    said = "".join(process.communicate(timeout=120))
    wait_for(lambda: (repository.results / "gate.json").is_file() and repository.left_behind() == [])
    assert process.returncode == {"interrupt": 130, "terminate": 130, "kill": -signal.SIGKILL}[how], said
    found = outcomes(repository)
    assert sum(item["status"] == "measured" for item in found.values()) >= 2
    assert all(item["ratio"] > 1.1 for item in comparisons(repository).values())


@pytest.mark.full
def test_a_base_that_cannot_run_is_not_available_and_a_head_that_cannot_is_an_error(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "project")
    files = {
        "toy.py": MODULE,
        "test_toy.py": TESTS,
        "pyproject.toml": PYPROJECT + QUICKLY,
        "conftest.py": "import toy\n",
    }
    repository.commit({**files, "conftest.py": "import not_there\n"})
    repository.commit(files)
    status, said = repository.gate("--base", "HEAD~1")
    assert status == 0 and "not_there" in said and "Nothing could be compared" in said
    status, said = repository.gate("--base", "HEAD", "--head", "HEAD~1")
    assert status == 2 and "head can't be measured" in said and "not_there" in said
    status, said = repository.gate("--base", "HEAD~1", "--mistyped")
    assert status == 2 and "unrecognized arguments: --mistyped" in said
    repository.commit({"test_toy.py": None, "perf/bench_toy.py": TESTS})
    status, said = repository.gate("--base", "HEAD~1", "--head", "HEAD")
    assert status == 0 and "pytest does not collect perf/bench_toy.py by itself: name it behind --base REV" in said
    assert repository.left_behind() == []


def test_a_harmless_diff_is_green_at_once(tmp_path: Path) -> None:
    """Documentation, CI, remarks and a test that no benchmark sees; anything else is measured."""
    repository = Repository(tmp_path / "project")
    start = {
        "toy.py": MODULE, "README.md": "a", "toy_data/__init__.py": "", "toy_data/text.md": "a",
        "tests/test_plain.py": "def test_a(): pass", "tests/test_toy.py": TESTS, "tests/test_shared.py": "X = 1",
        "tests/test_user.py": "from test_shared import X\ndef test_b(benchmark): benchmark(int, X)",
    }  # fmt: skip
    repository.commit(start)
    base = repository.folder
    other = Repository(tmp_path / "other")

    def kind(**files: str) -> str:
        (name, text), *_ = files.items()
        name = name.replace("__", "/", 1).replace("_DOT_", ".")
        other.write({**start, name: text})
        return changes.kind_of(name, base, other.folder)

    assert kind(README_DOT_md="b") == "documentation"
    assert kind(toy_DOT_py=MODULE + "# a remark\n") == "remarks and layout"
    assert kind(toy_DOT_py=SLOWER) == ""
    assert changes.kind_of(".github/workflows/ci.yml", base, other.folder) == "CI and repository files"
    assert kind(tests__test_plain_DOT_py="def test_a(): assert 1") == "tests that no benchmark imports"
    assert kind(tests__test_shared_DOT_py="X = 2") == ""
    assert kind(tests__test_toy_DOT_py=TESTS + "\nX = 1\n") == ""
    assert kind(toy_data__text_DOT_md="b") == ""  # a package may read it
    assert kind(pyproject_DOT_toml=PYPROJECT) == ""


def test_green_says_why_and_measures_nothing(tmp_path: Path) -> None:
    """Also a second time: the results of the first are no part of the project that may change anything."""
    repository = Repository(tmp_path / "project")
    repository.commit({"toy.py": MODULE, "test_toy.py": TESTS, "README.md": "a"})
    repository.write({"README.md": "b"})
    repository.results = repository.folder / "results"
    for _ in range(2):
        status, said = repository.gate("--base", "HEAD", python="")
        assert status == 0 and "only documentation (README.md) changed" in said
    assert repository.git("status", "--porcelain").strip() == "M README.md" and repository.left_behind() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("budgets = 1", "did you mean budget?"),
        ('default = "maybe"', "known are fail, warn, off"),
        ('budget = {"*" = "fast"}', "has to be a share"),
        ("patience = -1", "seconds"),
        ('synchronize = "torch"', "module:function"),
        ("extras = [1]", "a list of texts"),
    ],
)
def test_a_mistake_in_the_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.triptych.gate]\n{text}\n")
    with pytest.raises(table.TableError, match=r"tool\.triptych\.gate") as caught:
        table.load(tmp_path)
    assert said in str(caught.value)


def test_budgets_are_shares_or_percent(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.triptych.gate]\nbudget = {"a*" = "5 %", "b*" = 0.1}\n')
    assert table.load(tmp_path).budget == {"a*": 0.05, "b*": 0.1}


def test_a_wheel_fills_the_gaps_of_its_tree(tmp_path: Path) -> None:
    """Extensions and generated modules get beside the sources; the sources stay as they are."""
    import zipfile

    tree, wheel = tmp_path / "tree", tmp_path / "toy-1-py3-none-any.whl"
    (tree / "src" / "toy").mkdir(parents=True)
    (tree / "src" / "toy" / "__init__.py").write_text("source = 1")
    with zipfile.ZipFile(wheel, "w") as archive:
        files = {"toy/__init__.py": "built", "toy/_version.py": "v", "toy/_fast.so": "so", "other.py": "o"}
        metadata = (
            "Requires-Dist: numpy>=1\nRequires-Dist: pytest; extra == 'test'\nRequires-Dist: x; python_version < '3'\n"
        )
        for name, text in {**files, "toy-1.dist-info/METADATA": f"{metadata}Provides-Extra: test\n"}.items():
            archive.writestr(name, text)
    paths = wheels.fill(tree, wheel, tmp_path / "metadata")
    assert set(paths) == {tree / "src", tmp_path / "metadata"}
    assert (tree / "src/toy/__init__.py").read_text() == "source = 1"
    assert (tree / "src/toy/_fast.so").is_file() and (tmp_path / "metadata/other.py").is_file()
    assert wheels.requirements(wheel, ["test"]) == ["numpy>=1", "pytest"] and wheels.extras_of(wheel) == ["test"]


@pytest.mark.parametrize(("words", "said"), [((), "--base"), (("--base", "nowhere"), "no such revision")])
def test_bad_input_is_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    repository = Repository(tmp_path / "project")
    repository.commit({"toy.py": MODULE})
    status, text = repository.gate(*words, python=sys.executable)
    assert status == 2 and said in text and text.count("\n") == 1


SOURCE = '''"""A module."""
LIMIT = 3


def first(items, limit=LIMIT):
    total = 0
    for item in items:
        total = total + item
    return total, limit


def second(a, b=2):
    swapped, *rest = b, a
    return swapped, rest


def third(x):
    y = [x + z for z in range(2)]
    return locals()["y"], f"{y}"


def fourth():
    value = second(1)
    return value


fifth = fourth()
'''


def test_a_disguised_program_computes_the_same() -> None:
    """An A/A control of different trees is worth nothing if the trees differ in what they do."""
    rng = random.Random(3)
    told = []
    for text in (SOURCE, disguise.disguised(SOURCE, rng)):
        names: dict[str, Any] = {}
        exec(compile(text, "module", "exec"), names)
        told.append([names["first"]([1, 2]), names["second"](1), names["third"](1), names["fourth"](), names["fifth"]])
    assert told[0] == told[1]
    changed = disguise.disguised(SOURCE, rng)
    assert "total_" in changed and "y_" not in changed and changed.index("def third") < changed.index("def second")


def test_the_workflow_gives_a_strangers_code_nothing_to_write_with(tmp_path: Path) -> None:
    """Whoever opens a pull request runs code in the first job; the second runs none and has no checkout."""
    repository = Repository(tmp_path / "project")
    repository.commit({"pyproject.toml": PYPROJECT.partition("[tool.triptych")[0]})
    assert repository.gate("--init", python="")[0] == 0
    folder = repository.folder / ".github" / "workflows"
    measure, comment = ((folder / name).read_text() for name in ("gate.yml", "gate-comment.yml"))
    assert "write" not in measure.partition("permissions:")[2].partition("jobs:")[0] and "secrets" not in measure
    assert "github.token" not in measure and "persist-credentials: false" in measure
    assert "pull-requests: write" in comment and "checkout" not in comment and "triptych gate --base" not in comment
    assert table.load(repository.folder).patience == 120
    status, said = repository.gate("--init", python="")
    assert status == 2 and "is there already" in said


BACKEND = '''
"""A build backend of the project's own: its wheel has a module that the sources lack."""
import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "toy-1-py3-none-any.whl"
    files = {
        "toy/__init__.py": open("src/toy/__init__.py").read(),
        "toy/built.py": "def work(n):\\n    return sum(range(n))\\n",
        "toy-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: toy\\nVersion: 1\\n",
        "toy-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: toy\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "toy-1.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(folder + "/" + name, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
'''
BUILT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "toy"
version = "1"
[dependency-groups]
test = ["iniconfig"]
[tool.triptych.gate]
patience = 0
"""
BUILT_TEST = """
from importlib import metadata
import toy
from toy import built

def test_built(benchmark):
    assert metadata.version("toy") == "1" and "worktree" not in toy.__file__
    assert benchmark(built.work, 200) > 0
"""


@pytest.mark.full
@pytest.mark.catalogue
def test_environments_are_made_once_and_a_base_that_cannot_be_built_is_said(tmp_path: Path) -> None:
    """A build that adds modules, no shared environment, and a second run that builds nothing."""
    repository = Repository(tmp_path / "project")
    files = {"backend.py": BACKEND, "pyproject.toml": BUILT, "src/toy/__init__.py": "", "tests/test_toy.py": BUILT_TEST}
    repository.commit({**files, "backend.py": "raise RuntimeError('no compiler here')"})
    repository.commit(files)
    repository.commit({"src/toy/__init__.py": "changed = 1\n"})
    status, said = repository.gate("--base", "HEAD~1", python="")
    if "can't be installed" in said:
        pytest.skip("pip reaches no index of packages here")
    assert list(comparisons(repository)) == ["test_built"] and "building the environment" in said, said
    status, said = repository.gate("--base", "HEAD~2", python="")
    assert status == 0 and "base can't be built" in said and "no compiler here" in said
    assert "building the environment of working tree" not in said
    assert repository.left_behind() == []


@pytest.mark.full
@pytest.mark.catalogue
def test_beside_busy_processes_nothing_is_decided_of_the_same_program(tmp_path: Path) -> None:
    """Eight processes that take every core: unfit or undecided is allowed, an alarm is not."""
    repository = Repository(tmp_path / "project")
    repository.commit({"toy.py": MODULE, "test_toy.py": TESTS, "pyproject.toml": PYPROJECT + QUICKLY})
    repository.write({"toy.py": f"# A remark.\n{MODULE}"})
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(8)]
    try:
        status, said = repository.gate("--base", "HEAD", "--measure-anyway")
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert status in (0, 2) and comparisons(repository)["test_work"]["verdict"] not in ("slower", "faster"), said
