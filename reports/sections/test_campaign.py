"""The section about a campaign: findings with their programs, and nothing undecided that looks like a pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reports.evidence.companion_files import Proofs, proofs
from reports.evidence.load import gather
from reports.page import render
from reports.sections import campaign
from reports.testing import small_runs
from suites.records.campaign import Bar, Campaign, Covered, Finding
from suites.records.run import RecordError

HOSTILE = "<script>alert(1)</script>"


def kept() -> Campaign:
    return Campaign(
        version=1,
        networks=2,
        operations=7,
        realisations=20,
        judged=18,
        statuses={"ok": 17, "undecided": 2, "exceeds": 1},
        histogram=[Bar(0.1, 16), Bar(1.0, 1)],
        versions={"torch": "2.13.0"},
        date="2026-11-27",
        commit="0123456789abcdef",
        coverage=[Covered("sum", "torch-torch-eager", "float32", 9), Covered("Dense", "shim-jax-jit", "float64", 9)],
        findings=[
            Finding("sum torch", "torch-torch-eager", "exceeds", 3, program=f"import torch\n{HOSTILE}", printed="1 2"),
            Finding("gcd", "torch-torch-eager", "exceeds", 1, title="gcd is negative", link="https://example.org/7"),
        ],
    )


def test_what_a_person_has_named_comes_first() -> None:
    shown = campaign.shown(kept())
    assert shown and [each.about for each in shown.findings] == ["gcd", "sum torch"]
    assert [(line.realisation, line.counts) for line in shown.lines] == [
        ("shim-jax-jit", {"float64": 9}),
        ("torch-torch-eager", {"float32": 9}),
    ]
    assert shown.bars[0] == (0.1, 16, 16 / 17)
    assert campaign.shown(None) is None


@pytest.mark.parametrize(
    ("printed", "found", "right"),
    [
        ("1.3333333730697632 1.0", "1.33333", "1.0"),
        ("inf 2.2448064095871728e+38", "inf", "2.24481e+38"),
        ("torch.Size([1, 1])", "torch.Size([1, 1])", ""),
        ("", "", ""),
    ],
)
def test_what_a_program_printed_is_found_and_right(printed: str, found: str, right: str) -> None:
    assert campaign.found_and_right(printed) == (found, right)


def test_the_page_shows_findings_and_what_is_undecided() -> None:
    text = render.page(replace(gather([small_runs.good()]), proofs=Proofs(campaign=kept())))
    section = text.replace('"', "").partition("id=campaign ")[2].partition("</section>")[0]
    assert "2 random networks" in section and "7 single operations" in section
    assert "made on 2026-11-27 by the tree 0123456789, with torch 2.13.0." in section
    assert "undecided: 2" in section and "exceeds: 1" in section
    assert "href=https://example.org/7" in section
    assert HOSTILE not in text


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "campaign.json").write_text('{"version": 1}')
    with pytest.raises(RecordError, match=r"campaign\.json: "):
        proofs(tmp_path, tmp_path)
