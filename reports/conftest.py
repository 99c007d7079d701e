"""What the tests of the page share: pages are written once a session, and one browser looks at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.evidence.load import gather
from reports.page import render
from reports.testing import full_run, small_runs
from reports.testing.browser import BROWSERS, FLAGS, FOUND
from suites.runner.requirements import BROWSER


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason=f"{BROWSER}: playwright is not installed")
    if FOUND is None:
        pytest.skip(f"{BROWSER}: on PATH is none of {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=FOUND, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def written() -> dict[str, str]:
    """The pages of the small runs, by name."""
    return {name: render.page(gather([run()])) for name, run in small_runs.RUNS.items()}


@pytest.fixture(scope="session")
def full_page() -> str:
    """The page of a full run with everything that can lie beside it."""
    return render.page(full_run.evidence([full_run.full()]))


@pytest.fixture(scope="session")
def pages(written: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of the pages of the small runs."""
    folder = tmp_path_factory.mktemp("pages")
    for name, text in written.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: Path(folder, f"{name}.html").as_uri() for name in written}


@pytest.fixture(scope="session")
def full_address(full_page: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the page of a full run."""
    path = tmp_path_factory.mktemp("pages") / "full.html"
    path.write_text(full_page, encoding="utf-8")
    return path.as_uri()
