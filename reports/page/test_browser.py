"""The page in a real browser: at three widths, light and dark, with and without scripts, by keyboard, and axe-core."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.evidence.load import gather
from reports.formats import tables as export
from reports.page import render
from reports.testing import full_run, small_runs
from reports.testing.browser import OPEN, Visit
from suites.records.run import Run
from suites.runner.requirements import BROWSER

RATIO = re.compile("^Ratio")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page with every kind of data: a full run, a hundred stored ones, all that lies beside them."""
    path = tmp_path_factory.mktemp("pages") / "everything.html"
    path.write_text(render.page(full_run.evidence([*stored(99), full_run.full()])), encoding="utf-8")
    return path.as_uri()


def stored(count: int) -> Iterator[Run]:
    """So many small runs, the last third slower."""
    for at in range(count):
        run = small_runs.good()
        run.id, run.started = f"20260101T{at:06}-1", f"2026-01-01T00:{at // 60:02}:{at % 60:02}+00:00"
        slower = [item for item in run.timings if item.cell.backend == "torch" and at > 2 * count // 3]
        for item in slower:
            item.seconds[:] = [1.3 * seconds for seconds in item.seconds]
        yield run


@pytest.fixture(scope="module", params=[True, False], ids=["scripts", "no-scripts"])
def shown(request: pytest.FixtureRequest, browser: Any, pages: dict[str, str]) -> Iterator[tuple[Visit, bool]]:
    """The page of the bad run, and whether it may run scripts."""
    with Visit(browser, pages["bad"], java_script_enabled=request.param) as visit:
        yield visit, request.param


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 3840])
def test_it_renders(shown: tuple[Visit, bool], width: int, scheme: str) -> None:
    """Everything is there, nothing sticks out, nothing complains and nothing is fetched."""
    visit, scripts = shown
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.page.emulate_media(color_scheme=scheme)
    sections = visit.page.locator("main > section")
    assert sections.count() == len(render.SECTIONS) - len(render.KEPT)  # no file of these is here
    boxes = [section.bounding_box() for section in sections.all()]
    assert all(box and box["height"] > 50 and box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    if scripts:  # else nothing can be asked
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        light = visit.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] > 127")
        assert light == (scheme == "light")
    assert not visit.surprises


def test_sorting_is_kept_in_the_address(browser: Any, pages: dict[str, str]) -> None:
    """A link to a sorted, filtered, dark page shows the same to whoever opens it."""
    with Visit(browser, pages["good"]) as visit:
        before = visit.column("train-step-1", 3)
        heading = visit.page.locator("#train-step-1 thead button", has_text=RATIO)
        heading.focus()
        visit.page.keyboard.press("Enter")
        upwards = visit.column("train-step-1", 3)
        assert upwards != before and sorted(upwards, key=value) == upwards
        heading.press("Enter")
        assert visit.column("train-step-1", 3) == sorted(upwards, key=value, reverse=True)
        visit.page.locator("#filter").fill("shim torch")
        visit.page.locator("#theme").click()
        state, address = visit.column("train-step-1", 1), visit.page.url
        assert state and all("shim on PyTorch" in way for way in state)
    with Visit(browser, address) as visit:
        assert visit.column("train-step-1", 1) == state
        assert visit.page.locator("#filter").input_value() == "shim torch"
        assert visit.page.locator("html").get_attribute("data-theme") == "light"
        visit.page.locator("#filter").fill("")
        visit.page.locator("#train-step-1 thead button", has_text=RATIO).evaluate("button => button.click()")
        assert visit.column("train-step-1", 3) == before


def value(text: str) -> float:
    return float(text.rstrip("\N{MULTIPLICATION SIGN}"))


def test_a_link_to_a_section_keeps_the_rest(browser: Any, pages: dict[str, str]) -> None:
    with Visit(browser, pages["good"] + "#q=torch") as visit:
        visit.page.locator("nav a", has_text="Code").click()
        visit.page.wait_for_function("location.hash.includes('at=code')")
        assert "q=torch" in visit.page.url
        visit.page.wait_for_function("Math.abs(document.getElementById('code').getBoundingClientRect().top) < 150")


@pytest.mark.parametrize("table", ["#answers", "#train-step-1"])
def test_a_table_that_a_phone_shows_as_blocks_is_one_to_a_screen_reader(
    browser: Any, pages: dict[str, str], table: str
) -> None:
    with Visit(browser, pages["good"], viewport={"width": 390, "height": 844}) as visit:
        session = visit.context.new_cdp_session(visit.page)
        root = session.send("DOM.getDocument")["root"]["nodeId"]
        place = session.send("DOM.querySelector", {"nodeId": root, "selector": table})["nodeId"]
        nodes = session.send("Accessibility.queryAXTree", {"nodeId": place})["nodes"]
        roles = Counter(node["role"]["value"] for node in nodes if not node["ignored"])
        rows = visit.page.locator(f"{table} tbody tr").count()
        assert roles["table"] == 1 and roles["row"] >= roles["rowheader"] == rows and roles["cell"] >= 2 * rows
        narrow = visit.page.locator(f"{table} tbody td").evaluate_all(
            "cells => cells.every((it) => it.getBoundingClientRect().right <= 390)"
        )
        assert narrow


def downloaded(visit: Visit, form: str) -> str:
    with visit.page.expect_download() as download:
        visit.page.locator(f"[data-download={form}]").click()
    return Path(download.value.path()).read_text(encoding="utf-8")


NUMBERS = ("value", "low", "high")


def numbers(row: dict[str, str]) -> list[float]:
    """Every number of a row, of its rounds too."""
    return [float(word) for name in (*NUMBERS, "rounds") for word in row[name].split()]


@pytest.mark.parametrize("name", ["good", "bad"])
def test_downloads_are_the_records(browser: Any, pages: dict[str, str], name: str) -> None:
    """What the page was made from can be taken out of it again, and what it computed is what the exports have."""
    evidence = gather([small_runs.RUNS[name]()])
    with Visit(browser, pages[name]) as visit:
        assert downloaded(visit, "records") == export.raw(evidence)
        table = list(csv.DictReader(io.StringIO(downloaded(visit, "csv"), newline="")))
        found = json.loads(downloaded(visit, "json"))
    rows = list(csv.DictReader(io.StringIO(export.table(evidence))))
    assert [row["quantity"] for row in found["results"]] == [row["quantity"] for row in rows]
    for mine, row, other in zip(table, rows, found["results"], strict=True):
        assert {**row, "rounds": "", **dict.fromkeys(NUMBERS)} == {**mine, "rounds": "", **dict.fromkeys(NUMBERS)}
        assert numbers(mine) == pytest.approx(numbers(row), rel=1e-3, nan_ok=True)
        assert other["rounds"] == [float(word) for word in mine["rounds"].split()]


@pytest.mark.full
@pytest.mark.parametrize("name", ["full_address", "everything"])
@pytest.mark.one_in(4)
def test_a_large_page(browser: Any, request: pytest.FixtureRequest, name: str) -> None:
    """No wider than the screen, shut and with all boxes open; without scripts all that is not packed is there too."""
    everything = request.getfixturevalue(name)
    with Visit(browser, everything) as visit:
        for opened in (False, True):
            if opened:
                visit.page.evaluate(OPEN)
            for width in (360, 1280):
                visit.page.set_viewport_size({"width": width, "height": 900})
                assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, (width, opened)
        empty = "[...document.querySelectorAll('.packed')].filter((place) => !place.firstChild).length"
        assert visit.page.evaluate(empty) == 0
        count = cells(visit)
    with Visit(browser, everything, java_script_enabled=False) as visit:
        assert cells(visit) == count > 3000
        assert visit.page.locator("#code pre").first.inner_text().strip()


def cells(visit: Visit) -> int:
    """Cells of tables that are not packed; asked in two words, for which the browser has a fast way."""
    return int(visit.page.locator("main td").count() - visit.page.locator(".packed td").count())


# Of rows, items and lines of a listing one of each make: what has the same elements, classes and attributes in the same
# order is the same to axe, whatever its words, and a page has thousands of them.
THINNED = """() => {
    const told = (part) => `${part.tagName}.${part.className} ${part.getAttributeNames()}`;
    const make = (it) => [it, ...it.querySelectorAll("*")].map(told).join(" ");
    for (const place of document.querySelectorAll("tbody, ul, ol, pre")) {
        const seen = new Set();
        for (const child of [...place.children]) {
            if (seen.has(make(child))) child.remove();
            seen.add(make(child));
        }
    }
    return document.querySelectorAll("*").length;
}"""
FINDINGS = {"resultTypes": ["violations"]}  # one element of each rule that passes is enough: half of the time


LONG = pytest.param("everything", marks=[pytest.mark.full, pytest.mark.catalogue])


@pytest.mark.parametrize("name", ["bad", pytest.param("empty", marks=pytest.mark.full), LONG])
def test_axe_finds_nothing(browser: Any, request: pytest.FixtureRequest, name: str) -> None:
    """Every box open, so that nothing hides from the check; in the dark only colours are other ones."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason=f"{BROWSER}: axe-playwright-python is not installed"
    ).Axe()
    own = name == "everything"
    address = request.getfixturevalue("everything") if own else request.getfixturevalue("pages")[name]
    with Visit(browser, address, color_scheme="light") as visit:
        visit.page.evaluate(OPEN)
        visit.page.wait_for_function("[...document.querySelectorAll('.packed')].every((place) => place.firstChild)")
        assert visit.page.evaluate(THINNED) > 500
        found = axe.run(visit.page, options=FINDINGS).response
        assert len(found["passes"]) > 15
        visit.page.emulate_media(color_scheme="dark")
        dark = axe.run(visit.page, options={"runOnly": ["color-contrast"], **FINDINGS}).response
        assert [item["id"] for item in dark["passes"]] == ["color-contrast"]
        violations = found["violations"] + dark["violations"]
        assert not [(item["id"], item["nodes"][0]["html"][:200]) for item in violations]
