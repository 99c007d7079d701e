"""Workers that the tests of several files share: most of them compare models of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from suites.port.testing.pools import pool_of
from suites.runner.workers import Pool


@pytest.fixture(scope="package")
def pool() -> Iterator[Pool]:
    """A file that needs another engine has a fixture of this name itself."""
    yield from pool_of(("raw_torch", "torch"))
