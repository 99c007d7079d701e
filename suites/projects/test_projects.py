"""The gate in a repository of somebody who has never heard of it: what is compared, what is said, what is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from suites.projects.testing.repository import MODULE, PYPROJECT, QUICKLY, SLOWER, TESTS, Repository

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


def test_a_slower_function_is_measured_in_both_trees(tmp_path: Path) -> None:
    """The whole way: two worktrees, live sessions, rounds, controls, a verdict, and nothing left behind."""
    repository = Repository(tmp_path / "project")
    strictly = PYPROJECT.replace("--strict-markers", "--strict-markers -W error")  # nor may it warn
    repository.commit({"toy.py": MODULE, "tests/test_toy.py": TESTS, "pyproject.toml": strictly + QUICKLY})
    repository.write({"toy.py": SLOWER})
    status, said = repository.gate("--base", "HEAD")
    found = repository.comparisons()
    assert list(found) == ["test_work"] and found["test_work"]["ratio"] > 1.1, said
    assert status == {"regression": 1, "unfit": 2}[repository.judged()["verdict"]]
    assert repository.comparisons("canary") and repository.comparisons("twin"), said
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
    assert list(repository.comparisons()) == ["test_work"] and repository.comparisons()["test_work"]["ratio"] > 1.1, (
        said
    )
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
    found = repository.outcomes()
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


@pytest.mark.full
@pytest.mark.catalogue
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
    assert status in (0, 2) and repository.comparisons()["test_work"]["verdict"] not in ("slower", "faster"), said
