"""The agreement over many steps: what a way may not miss is never hidden by what it may."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from reports import verdicts
from reports.evidence.companion_files import Agreements
from reports.sections import trust
from reports.testing import full_run
from reports.verdicts import Verdict

SAMPLE = full_run.evidence([]).proofs.agreement


@pytest.mark.parametrize(
    ("disagreement", "departs", "verdict"),
    [
        (1e-12, "", verdicts.SAME),
        (2e-12, "", verdicts.DIFFERS),
        (math.nan, "", verdicts.DIFFERS),
        (math.inf, "a reason", verdicts.EXPLAINED),
        (0.1, "a reason", verdicts.EXPLAINED),
    ],
)
def test_the_worst_without_an_excuse_decides(disagreement: float, departs: str, verdict: Verdict) -> None:
    """One model of four says something else than the others, and another one has a large departure with a reason."""
    assert SAMPLE
    first, other, *rest = [row for row in SAMPLE.rows if row.what == "adam" and row.implementation == "raw_torch"]
    excused = replace(other, disagreement=1e3, departs="another convention")
    planted = replace(first, disagreement=disagreement, departs=departs)
    found = trust.trajectories(Agreements(1000, SAMPLE.targets, [planted, excused, *rest], []))
    ((_, (distance,)),) = found.rows if found else []
    assert distance and distance.verdict == (verdict if verdict is verdicts.DIFFERS else verdicts.EXPLAINED)
    assert (distance.worst == planted) == (verdict is verdicts.DIFFERS or disagreement == math.inf)


def test_the_page_says_who_departs_and_why(full_page: str) -> None:
    text = full_page.partition("id=agreement>")[2]
    shown = text.partition("</section>")[0]
    assert "0.20 %" in shown and "another convention, documented by its authors</b>" in shown
