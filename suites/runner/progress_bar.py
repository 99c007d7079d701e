"""A progress bar for `nox -s bench`: which cell is at work, how many are done, how long it will take."""

from __future__ import annotations

import sys

import pytest
from tqdm import tqdm


class Bar:
    """On a terminal a bar replaces pytest's dots; in a log file pytest's own lines stay."""

    def __init__(self) -> None:
        self.bar: tqdm[int] | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if sys.__stderr__ is not None and sys.__stderr__.isatty():
            self.bar = tqdm(total=len(session.items), unit="cell", dynamic_ncols=True, file=sys.__stderr__)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self.bar is not None:
            self.bar.set_description_str(nodeid.rsplit("::", 1)[-1].ljust(48)[:48])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.bar is not None and report.when == "teardown":
            self.bar.update()

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dot for a passed test while the bar is drawn; failures and skips keep their letter."""
        return ("passed", "", "PASSED") if self.bar is not None and report.passed and report.when == "call" else None

    def pytest_sessionfinish(self) -> None:
        if self.bar is not None:
            self.bar.close()
