"""What a test asks the laboratory for, and the judgement of a training: the held-out metric against its target."""

from __future__ import annotations

import pytest

from impls import MODELS
from suites.records.run import Cell, Training
from suites.runner import plan
from suites.runner.laboratory import Laboratory, StageFailed, StageRefused
from suites.runner.stages import metric
from suites.runner.workers import Arrays


def evidence_or_fail(laboratory: Laboratory, cell: Cell, stage: str) -> Arrays:
    """The arrays of a stage; the test fails with the worker's own reason where there are none.

    Where a release is known to refuse it, that is an expected failure.
    """
    try:
        return laboratory.evidence(cell, stage)
    except StageRefused as refused:
        pytest.xfail(f"{plan.label(cell)}: {refused}")
    except StageFailed as failure:
        reason = str(failure)
    pytest.fail(f"{plan.label(cell)}: {reason}", pytrace=False)


def trained(laboratory: Laboratory, cell: Cell) -> None:
    """Record the training of `cell`, and fail where it missed its target."""
    spec = MODELS[cell.model]
    found = evidence_or_fail(laboratory, cell, "training")
    value = metric(cell, found["logits"])
    losses = [float(loss) for loss in found["losses"]]
    laboratory.record(
        trainings=[Training(cell, losses, spec.metric, value, spec.target, float(found["seconds"]))]  # type: ignore[arg-type]
    )
    laboratory.passed(cell, "training")
    reached = value <= spec.target if spec.metric == "cross_entropy" else value >= spec.target
    assert reached, f"{plan.label(cell)}: held-out {spec.metric} is {value:.4f}, the target is {spec.target}"
