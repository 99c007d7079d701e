"""Workers for the tests of a file, or the reason why they are skipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from suites.runner.availability import availability
from suites.runner.workers import Pool


def pool_of(*needed: tuple[str, str]) -> Iterator[Pool]:
    """For a fixture: workers that end with it; skipped where one of these (implementation, backend) is not here."""
    for implementation, backend in needed:
        if reason := availability(implementation, backend):
            pytest.skip(reason)
    with Pool() as pool:
        yield pool
