"""Judges a program that was trained to the end: what it reached on the held-out data, against its spec's target."""

from __future__ import annotations

import pytest

from impls import MODELS
from suites import plan
from suites.laboratory import Laboratory, StageFailed
from suites.records import Cell, Training
from suites.stages import metric


def trained(laboratory: Laboratory, cell: Cell) -> None:
    """Record the training of `cell`, and fail where it missed its target."""
    spec = MODELS[cell.model]
    try:
        found = laboratory.evidence(cell, "training")
    except StageFailed as failure:
        pytest.fail(f"{plan.label(cell)}: {failure}", pytrace=False)
    value = metric(cell, found["logits"])
    losses = [float(loss) for loss in found["losses"]]
    laboratory.record(
        trainings=[Training(cell, losses, spec.metric, value, spec.target, float(found["seconds"]))]  # type: ignore[arg-type]
    )
    laboratory.passed(cell, "training")
    reached = value <= spec.target if spec.metric == "cross_entropy" else value >= spec.target
    assert reached, f"{plan.label(cell)}: held-out {spec.metric} is {value:.4f}, the target is {spec.target}"
