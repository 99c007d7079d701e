"""Ports of real people, after public reports: the verdict, and the first cause by its name."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from suites.port.__main__ import parser
from suites.port.api import Result, compare
from suites.port.testing.pools import pool_of
from suites.runner.workers import Pool

FOLDER = Path(__file__).parent / "testing/cases"
QUICK = ("24-cosine-sign", "33-two-inputs-same", "48-second-output", "52-dropout-always-on")
CASES = sorted(path.name for path in FOLDER.iterdir())


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    yield from pool_of(("raw_torch", "torch"), ("tf_keras", "tensorflow"))


def read(case: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / case / "case.toml").read_text(encoding="utf-8"))


def run(case: str, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Result:
    """The case, with the arguments that its file gives, from its own folder."""
    monkeypatch.chdir(FOLDER / case)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    options = parser().parse_args(["a.py", "b.py", *shlex.split(read(case)["args"])])
    return compare(
        options.a,
        options.b,
        options.data,
        random_data=options.random_data,
        backend_a=options.backend_a,
        backend_b=options.backend_b,
        pool=pool,
    )


@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.full) for case in CASES]
)
@pytest.mark.one_in(5)
def test_a_port_of_a_user(case: str, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Correct ones are the same, with exit status 0; in wrong ones the first cause is the one that was reported."""
    wanted = read(case)
    if "flax" in case:
        pytest.importorskip("importlib.metadata").distribution("flax")
    found = run(case, pool, monkeypatch)
    assert found.same is (wanted["kind"] == "same"), found.text()
    for words in wanted.get("named", ()):
        assert words in found.findings[0].words(), found.text()
