"""What the gate says without measuring: a harmless diff, a mistake in the table, a workflow that it writes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from suites.projects import changes, table
from suites.projects.testing.repository import MODULE, PYPROJECT, SLOWER, TESTS, Repository


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


@pytest.mark.parametrize(("words", "said"), [((), "--base"), (("--base", "nowhere"), "no such revision")])
def test_bad_input_is_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    repository = Repository(tmp_path / "project")
    repository.commit({"toy.py": MODULE})
    status, text = repository.gate(*words, python=sys.executable)
    assert status == 2 and said in text and text.count("\n") == 1


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
