"""The gadgets on the page: what is not equal, not run or not there must not look like success."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reports import verdicts
from reports.evidence import load
from reports.page import embedded_data, render
from reports.sections.gadgets import gadgets
from reports.testing import small_runs
from suites.records.run import Gadget, Run

SOURCE = '"""A gadget.\n\nA note & more.\n"""\n\nBASE = 1\nNEW = "<b>"\n\nOLD = 2\nLAST = 3\n'
COUNTS: dict[str, Any] = {"added": 2, "removed": 0, "changed": 1, "tokens": 9, "changed_lines": [7, 10]}
GOOD = Gadget(
    "stop", "Early stopping", "raw_tf", "tensorflow", "impls/gadgets/stop/raw_tf.py", SOURCE, **COUNTS,
    observed="losses", disagreement=1e-16, equal=True,
)  # fmt: skip
OTHERS = {
    "differs": (replace(GOOD, implementation="shim", equal=False, disagreement=0.5, reason="losses"), verdicts.DIFFERS),
    "failed": (
        replace(GOOD, implementation="shim", equal=None, disagreement=None, reason="failed: no"),
        verdicts.FAILED,
    ),
    "not run": (replace(GOOD, implementation="shim", equal=None, disagreement=None, reason="quick"), verdicts.SKIPPED),
    "same": (replace(GOOD, implementation="shim"), verdicts.SAME),
}


def run(*found: Gadget) -> Run:
    made = small_runs.good()
    made.gadgets = list(found)
    return made


@pytest.mark.parametrize("case", OTHERS)
def test_the_worst_implementation_decides(case: str) -> None:
    """One implementation that behaves otherwise is what the row is for."""
    other, expected = OTHERS[case]
    found = gadgets(load.gather([run(GOOD, other)]))
    assert [row.verdict for row in found.rows] == [expected]
    assert found.sentence.startswith("1 of 1" if case == "same" else "0 of 1")


def test_a_program_that_is_missing_is_no_equality() -> None:
    """A gadget that only two implementations have is not equal in all of them."""
    found = gadgets(load.gather([run(GOOD, replace(GOOD, implementation="shim"), replace(GOOD, name="save"))]))
    assert [row.verdict for row in found.rows] == [verdicts.SAME, verdicts.NONE]
    assert found.totals == [3, 3]


def test_the_page_shows_what_changed_and_nothing_else() -> None:
    """The code side by side is the gadget: not the base program around it, and no mark-up out of it."""
    hostile = replace(GOOD, title=small_runs.HOSTILE, reason=small_runs.HOSTILE)
    text = render.page(load.gather([run(hostile)]))
    shown = text.partition("id=gadgets ")[2].partition("</section>")[0]
    shown += embedded_data.unpacked(text.partition('id="pack-listings">')[2].partition("</script>")[0])
    assert "NEW" in shown and "LAST" in shown and "A note &amp; more." in shown
    assert "BASE" not in shown and "OLD" not in shown
    assert "<script>alert" not in shown and "<b>&#34;" not in shown and '<b>"' not in shown and "<img" not in shown
