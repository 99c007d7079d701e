"""No branch of what all backends share is without a draw: one that a change adds asks for a reference, or a reason."""

from __future__ import annotations

import pytest

from suites.references import branches
from suites.runner.machine import ROOT


@pytest.mark.full
@pytest.mark.catalogue
def test_every_branch_has_a_draw(capsys: pytest.CaptureFixture[str]) -> None:
    """A branch that nothing takes may compute anything."""
    assert branches.main([]) == 0, capsys.readouterr().out


def test_every_excuse_is_of_a_line_that_stands() -> None:
    """An excuse of a line that is gone would excuse what comes in its place, or nothing."""
    for branch in branches.excused():
        path, line, _ = branch.split(" | ", 2)
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        assert line in [each.strip() for each in lines], branch


REFUSING = """
def f(x):
    if x < 0:
        name = type(x).__name__
        raise ValueError(name)
    if x > 9:
        x = 9
        return x
    if x:
        print(x)
        raise ValueError("after something was done")
    return x
"""


def test_what_does_more_than_refuse_needs_a_draw() -> None:
    """A block that computes before its error, or ends in no error, is no refusal; the words of a message are."""
    lines = REFUSING.splitlines()
    found = [lines[line - 1].strip() for line in sorted(branches.refusing(REFUSING))]
    assert found == [
        "name = type(x).__name__",
        "raise ValueError(name)",
        'raise ValueError("after something was done")',
    ]
