"""Every control of the page: what it does, and that a link to the page restores it exactly."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports import formatting
from reports.evidence.load import gather
from reports.page import render
from reports.sections import speed
from reports.testing import small_runs
from reports.testing.browser import Visit
from suites.records.run import Run


def later(day: int, slower: float = 1.0) -> Run:
    """The good run on another day, in which the shim on torch is so many times slower."""
    run = small_runs.good()
    run.id, run.started = f"202602{day:02}T000000-1", f"2026-02-{day:02}T00:00:00+00:00"
    for item in run.timings:
        if (item.cell.implementation, item.cell.backend) == ("shim", "torch"):
            item.seconds[:] = [slower * seconds for seconds in item.seconds]
    return run


def elsewhere(run: Run) -> Run:
    """`run` on another machine."""
    run.id, run.environment = f"{run.id}9", replace(run.environment, cpu="Another CPU")
    return run


def runs() -> list[Run]:
    """Three runs of one machine and one of another."""
    return [later(1), later(2), later(3, 1.5), elsewhere(later(4))]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of `runs`."""
    path = Path(tmp_path_factory.mktemp("controls"), "page.html")
    path.write_text(render.page(gather(runs())), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def opened(browser: Any) -> Iterator[Visit]:
    """One window for all tests; each loads its page anew."""
    with Visit(browser) as visit:
        yield visit


@pytest.fixture(scope="module")
def plain(opened: Visit, address: str) -> dict[str, Any]:
    """The page as it comes."""
    opened.goto(address)
    return snapshot(opened)


def snapshot(visit: Visit) -> dict[str, Any]:
    """Everything that a person sees of the page and its controls."""
    visit.page.wait_for_timeout(300)  # data unpacks in the background
    return dict(
        visit.page.evaluate(
            """() => ({
            text: document.body.innerText,
            dots: [...document.querySelectorAll("table.dots, .dots td")].map((place) => place.getAttribute("style")),
            boxes: [...document.querySelectorAll("details")].map((box) => box.open),
            values: [...document.querySelectorAll("select, input")].map((control) => control.value),
            theme: document.documentElement.dataset.theme ?? "auto",
            sorted: [...document.querySelectorAll("[aria-sort]")].map((head) => head.getAttribute("aria-sort")),
        })"""
        )
    )


ACTIONS: dict[str, Callable[[Any], Any]] = {
    "filter": lambda it: it.locator("#filter").fill("shim torch"),
    "theme": lambda it: it.locator("#theme").click(),
    "reference": lambda it: it.locator("#reference").select_option("shim/torch"),
    "before": lambda it: it.locator("#before").select_option(index=1),
    "after": lambda it: it.locator("#after").select_option(index=2),
    "sort": lambda it: it.locator("#phases thead button").first.evaluate("button => button.click()"),
    "box": lambda it: it.locator("details:has(#phases) > summary").click(),
    "shut box": lambda it: it.locator("details.figures > summary").first.click(),
    "place": lambda it: it.locator("nav a", has_text="Code").click(),
}


@pytest.mark.parametrize("name", ["all of them", *(pytest.param(name, marks=pytest.mark.full) for name in ACTIONS)])
@pytest.mark.one_in(3)
def test_each_control_is_restored_exactly(opened: Visit, address: str, plain: dict[str, Any], name: str) -> None:
    opened.goto(address)
    for action in ACTIONS.values() if name == "all of them" else [ACTIONS[name]]:
        action(opened.page)
    state, link = snapshot(opened), opened.page.url
    assert "#" in link and (state != plain or name == "place")
    opened.goto(link)
    assert snapshot(opened) == state
    opened.page.evaluate("history.replaceState(null, '', '#theme=light'), location.hash = '#theme=auto'")
    assert snapshot(opened) == plain or name == "place"
    assert not opened.surprises


def ratios(visit: Visit) -> list[str]:
    cells = visit.page.locator("tr[data-t] > :nth-child(3), tr[data-t] > :nth-child(4)")
    return [text.strip() for text in cells.all_text_contents()]


def numbers_in(text: str) -> list[float]:
    words = [word for word in text.split() if word[0].isdigit()]
    return [float(word.rstrip("\N{MULTIPLICATION SIGN}")) for word in words]


@pytest.mark.parametrize("name", ["shim/torch", "tf_keras/tensorflow", "raw_tf/tensorflow"])
def test_the_reference_is_computed_as_the_report_does(opened: Visit, address: str, name: str, tmp_path: Path) -> None:
    """The page made with another reference shows what the browser computes for it from the rounds."""
    made = tmp_path / "page.html"
    made.write_text(render.page(gather(runs()), speed.Reference(*name.split("/"))), encoding="utf-8")
    opened.goto(made.as_uri())
    expected, drawn = ratios(opened), opened.page.evaluate(DOTS)
    opened.goto(address)
    opened.page.locator("#reference").select_option(name)
    shown = formatting.configuration(*name.split("/"))
    opened.page.wait_for_function(f"document.querySelector('.reference').textContent === '{shown}'")
    found = ratios(opened)
    assert opened.page.evaluate(DOTS) == pytest.approx(drawn, abs=2)
    assert len(found) == len(expected) > 20
    numbers = [numbers_in(text) for text in found]
    wanted = [numbers_in(text) for text in expected]
    assert [len(row) for row in numbers] == [len(row) for row in wanted]
    for mine, other in zip(numbers, wanted, strict=True):
        assert mine == pytest.approx(other, rel=0.025)  # a unit of the last digit: the packed rounds have four
    assert sum(mine == other for mine, other in zip(numbers, wanted, strict=True)) > 0.9 * len(wanted)


PROPERTIES = "[...place.style].map((name) => Number(place.style.getPropertyValue(name)))"
DOTS = f"[...document.querySelectorAll('[data-t], [data-t] td[style]')].flatMap((place) => {PROPERTIES})"


def test_two_runs_are_compared_as_the_report_does(browser: Any, address: str) -> None:
    """The script's table of the runs that the page compares by itself is the page's own table."""
    with Visit(browser, address) as visit:
        own = visit.page.locator("#said").inner_text(), visit.page.locator("#differences tbody").inner_text()
        visit.page.locator("#before").select_option(index=0)
        visit.page.locator("#after").select_option(index=2)
        visit.page.wait_for_function("document.getElementById('said').textContent.includes('20260203')")
        assert set(visit.column("differences", 1)) == {"slower"}
        assert all("shim on PyTorch" in where for where in visit.column("differences", 3))
        assert set(visit.column("differences", 6)) == {"1.50\N{MULTIPLICATION SIGN}"}
        visit.page.locator("#before").select_option(own[0].split()[1])
        visit.page.locator("#after").select_option(own[0].split()[3].rstrip(":"))
        visit.page.wait_for_function("document.getElementById('said').textContent.includes('Another')")
        assert own == (visit.page.locator("#said").inner_text(), visit.page.locator("#differences tbody").inner_text())
        assert "Times are not compared, for the runs differ in processor A CPU and Another CPU" in own[0]


def test_tables_and_commands_are_copied(browser: Any, address: str) -> None:
    with Visit(browser, address, permissions=["clipboard-read", "clipboard-write"]) as visit:
        visit.page.locator("#filter").fill("shim")
        visit.page.locator("#matrix caption .copy").click()
        visit.page.wait_for_function("document.querySelector('#matrix caption .copy').textContent === 'Copied'")
        text = visit.page.evaluate("navigator.clipboard.readText()")
        lines = text.strip().splitlines()
        assert lines[2] == "| Configuration | seed | mlp |" and lines[3] == "| --- | --- | --- |"
        assert len(lines) == 6 and all("shim" in line for line in lines[4:])
        visit.page.locator("details:has(#phases) > summary").click()
        visit.page.locator("#phases tbody tr:not([hidden]) .copy").first.click()
        visit.page.wait_for_function(
            "document.querySelector('#phases tbody tr:not([hidden]) .copy').textContent === 'Copied'"
        )
        command = visit.page.evaluate("navigator.clipboard.readText()")
        assert command.startswith("python -m pytest suites/equivalence --model seed --implementation ")


def test_a_hundred_runs(browser: Any, tmp_path: Path) -> None:
    """They make a page that opens, with the step in its place, and nothing twice."""
    rng = random.Random(5)
    runs = []
    for at in range(100):
        run = later(1, 1.3 if at >= 60 else 1.0)
        run.id, run.started = f"20260301T{at:06}-1", f"2026-03-01T00:{at // 60:02}:{at % 60:02}+00:00"
        for item in run.timings:
            shared = rng.lognormvariate(0, 0.01)
            item.seconds[:] = [shared * seconds for seconds in item.seconds]
        runs.append(run)
    path = tmp_path / "page.html"
    path.write_text(render.page(gather(runs)), encoding="utf-8")
    assert path.stat().st_size <= 400_000
    with Visit(browser, path.as_uri()) as visit:
        moves, ways = visit.column("history-1", 8), visit.column("history-1", 3)
        assert [text != "none" for text in moves] == ["shim on PyTorch" in way for way in ways]
        assert all(re.search("20260301T0000(59|60|61)-1", text) for text in moves if text != "none")
        assert len(visit.column("matrix", 1)) == len(small_runs.WAYS)
