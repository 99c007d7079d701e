"""A trick that the table is about is still in the code: its diff applies exactly once and gives valid Python."""

from __future__ import annotations

import ast

import pytest

from impls.worker.patching import patched
from suites.runner.machine import ROOT
from suites.speed.ablations import TRICKS, Trick


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: f"{trick.backend}, {trick.title}, {trick.model}")
def test_a_trick_can_be_switched_off(trick: Trick) -> None:
    """Without this a table of what the tricks are worth would break long after the code it measures has changed."""
    source = (ROOT / trick.patch["file"]).read_text(encoding="utf-8")
    ast.parse(patched(source, trick.patch))
