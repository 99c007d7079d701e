"""The section about ports: every bug is listed where it sits, and what was not compared is not called the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reports.evidence.companion_files import DATA, Named, Proofs, Published, PublishedPair, proofs
from reports.evidence.load import gather
from reports.page import render
from reports.sections import port
from reports.testing import small_runs
from reports.testing.browser import Visit

HOSTILE = "<script>alert(1)</script>"
KEPT = proofs(DATA)


def test_every_bug_of_the_catalogue_is_on_the_checklist() -> None:
    assert KEPT.faults
    slips = port.checklist(KEPT.faults)
    planted = [row for row in KEPT.faults.rows if row.kind == "fault" and not row.skipped]
    assert {slip.title for slip in slips} == {row.title for row in planted}
    assert sum(slip.injected for slip in slips) == len(planted)
    assert sum(slip.found for slip in slips) == sum(row.detected for row in planted)
    assert dict(port.kinds(slips))["recurrent"] == len({row.title for row in planted if row.layer == "lstm"})


def test_a_pair_that_was_refused_is_not_the_same() -> None:
    """And what is shown of the others is what the record says, as text."""
    several = [Named(f"difference {at}") for at in range(5)] + [Named("difference 0")]
    pairs = {
        "A": PublishedPair("a", "b", "SAME"),
        "B": PublishedPair("a", HOSTILE, "DIFFERENT", several),
        "C": PublishedPair("a", "b", "REFUSED", error=f"no counterpart {HOSTILE}"),
    }
    found = port.pairs(Published(pairs))
    assert [(pair.family, pair.verdict.word) for pair in found] == [
        ("B", "different"),
        ("C", "not compared"),
        ("A", "same"),
    ]
    assert found[0].more == 2 and port.sentence(found) == "3 pairs run: 1 different, 1 not compared and 1 same."
    evidence = replace(gather([small_runs.empty()]), proofs=Proofs(published=Published(pairs)))
    text = render.page(evidence)
    assert HOSTILE not in text and "no counterpart &lt;script&gt;" in text and "difference 2 <small>and 2 more" in text


def test_the_checklist_is_filtered_by_layer_and_by_word(browser: Any, full_address: str) -> None:
    """A link keeps the choice; a table of which nothing is left is gone with its head, and back with the words."""
    with Visit(browser, full_address) as visit:
        visit.page.locator("#checklist-title").click()
        every = visit.column("checklist", 1)
        visit.page.locator("#layer").select_option("recurrent")
        assert set(visit.column("checklist", 1)) == {"recurrent"} and "layer=recurrent" in visit.page.url
        link = visit.page.url
        visit.goto(link)
        assert set(visit.column("checklist", 1)) == {"recurrent"}
        visit.page.locator("#filter").fill("no such word")
        assert visit.page.locator("main .scroll:visible").count() == 0
        assert visit.page.locator("#count").inner_text() == "nothing matches"
        visit.page.locator("#filter").fill("")
        visit.page.locator("#layer").select_option("")
        assert visit.column("checklist", 1) == every and visit.page.locator("#matrix").is_visible()
