"""More than 80 bugs in ports of an attention block, a ResNet block, a U-Net, a tagger and an optimizer with groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from suites.port.api import Result, compare
from suites.port.testing.planted import DATA, PAIRS, Bug, bugs, named
from suites.port.testing.pools import pool_of
from suites.runner.workers import Pool

ALL = [bug for pair in PAIRS for bug in bugs(pair)]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    yield from pool_of(("raw_torch", "torch"), ("tf_keras", "tensorflow"))


def compared(bug: Bug, folder: Path, pool: Pool) -> Result:
    port = folder / "b.py"
    port.write_text(bug.planted())
    return compare(str(PAIRS[bug.pair] / "a.py"), str(port), DATA[bug.pair], pool=pool)


def test_every_bug_changes_the_port() -> None:
    """And there are as many as the target says."""
    assert len(ALL) >= 40
    for bug in ALL:
        assert bug.planted() != (PAIRS[bug.pair] / "b.py").read_text(), bug.name


@pytest.mark.full
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.one_in(16)
def test_the_ports_without_a_bug_are_the_same(pool: Pool, pair: str) -> None:
    result = compare(str(PAIRS[pair] / "a.py"), str(PAIRS[pair] / "b.py"), DATA[pair], pool=pool)
    assert result.same, result.text()


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("bug", ALL, ids=lambda bug: f"{bug.pair}-{bug.name}")
def test_a_planted_bug_is_found_and_named(pool: Pool, tmp_path: Path, bug: Bug) -> None:
    """It is found, and the first cause that a person could have avoided is the right one."""
    result = compared(bug, tmp_path, pool)
    causes = [finding.words() for finding in result.findings if not finding.released]
    assert result.same == bug.equal, result.text()
    assert bug.equal or (causes and named(bug, causes[0])), causes[:1]
