"""Each planted defect becomes one finding of the right severity; a good run has none."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from reports.findings import Finding, failing, findings
from reports.testing import small_runs
from reports.testing.small_runs import WAYS, cell
from suites.records.run import Comparison, Outcome, Planned, Run, Training


def only(run: Run) -> Finding:
    """The one finding of `run`."""
    (finding,) = findings(run)
    return finding


def test_a_good_run_has_no_findings() -> None:
    assert findings(small_runs.good()) == []
    assert findings(small_runs.empty()) == []


@pytest.mark.parametrize("disagreement", [1.1e-12, math.inf, math.nan])
def test_disagreement_above_its_bound(disagreement: float) -> None:
    """The first tensor above its bound says where to look, whichever is the worst."""
    run = small_runs.good()
    at = cell("mlp", WAYS[4])
    run.comparisons.append(Comparison(at, cell(), "backward", "gradient/hidden/bias", disagreement, 1e-12))
    run.comparisons.append(Comparison(at, cell(), "slot", "slot/m/hidden/bias", 0.5, 1e-12))
    finding = only(run)
    assert (finding.severity, finding.kind, finding.cells) == ("error", "disagreement", (at,))
    assert "first in backward: gradient/hidden/bias" in finding.title
    assert "2 tensors" in finding.detail


def departing(disagreement: float) -> Run:
    """A good run with one tensor that has a bound and a cause of its own."""
    run = small_runs.good()
    at = cell("mlp", WAYS[2])
    run.comparisons.append(Comparison(at, cell(), "slot", "slot/m/a", disagreement, 1e-8, "float32 constants", True))
    return run


def test_a_departure_within_its_explained_bound_is_a_note() -> None:
    run = departing(3e-9)
    finding = only(run)
    assert (finding.severity, finding.kind) == ("note", "departure")
    assert "same API, different result" in finding.title
    assert "float32 constants" in finding.detail


def test_a_departure_above_its_explained_bound_is_an_error() -> None:
    run = departing(3e-7)
    assert (only(run).severity, only(run).kind) == ("error", "disagreement")


@pytest.mark.parametrize(("disagreement", "severity"), [(0.1, "note"), (math.inf, "note"), (math.nan, "error")])
def test_a_comparison_without_a_bound_is_shown(disagreement: float, severity: str) -> None:
    """It is never an error, except that NaN is not a result."""
    run = small_runs.good()
    run.comparisons.append(Comparison(cell(), cell(), "slot", "slot/m/a", disagreement, None))
    assert only(run).severity == severity


def test_failed_and_skipped_cells_keep_their_reason() -> None:
    run = small_runs.good()
    run.outcomes.append(Outcome(cell("mlp", WAYS[4]), "training", "failed", "killed by signal 9"))
    run.outcomes += [
        Outcome(replace(cell(model), backend="jax"), "start", "skipped", "no jax") for model in small_runs.MODELS
    ]
    failed, skipped = findings(run)
    assert (failed.severity, failed.detail, len(failed.cells)) == ("error", "killed by signal 9", 1)
    assert (skipped.severity, skipped.detail, len(skipped.cells)) == ("note", "no jax", 2)


@pytest.mark.parametrize(
    ("metric", "value", "target", "ends_well"),
    [
        ("accuracy", 0.97, 0.96, True),
        ("accuracy", 0.95, 0.96, False),
        ("accuracy", math.nan, 0.96, False),
        ("cross_entropy", 2.1, 2.2, True),
        ("cross_entropy", 2.3, 2.2, False),
        ("cross_entropy", math.nan, 2.2, False),
    ],
)
def test_a_missed_target_is_an_error(metric: str, value: float, target: float, ends_well: bool) -> None:
    run = small_runs.good()
    run.trainings[0] = Training(**{**vars(run.trainings[0]), "value": value, "target": target, "metric": metric})
    assert (not failing(findings(run))) == ends_well


def test_a_planned_cell_without_an_outcome_is_missing() -> None:
    run = small_runs.good()
    run.planned.append(Planned(cell("cnn"), "speed"))
    assert (only(run).kind, only(run).cells) == ("missing", (cell("cnn"),))


def test_a_row_that_vanished_is_missing() -> None:
    """Also where no plan was recorded: each worker has an outcome for each model, or a reason why not."""
    run = small_runs.good()
    gone = cell("mlp", WAYS[3])
    run.outcomes = [item for item in run.outcomes if item.cell != gone or item.stage != "training"]
    assert (only(run).kind, only(run).cells) == ("missing", (gone,))
    run.outcomes.append(Outcome(gone, "training", "skipped", "by hand"))
    assert only(run).kind == "skipped"


@pytest.mark.parametrize("evidence", ["comparisons", "trainings", "timings"])
def test_an_ok_without_evidence_is_missing(evidence: str) -> None:
    """A stage that claims success and left nothing is how a comparison goes green without comparing."""
    run = small_runs.good()
    gone = getattr(run, evidence)[-1].cell
    setattr(run, evidence, [item for item in getattr(run, evidence) if item.cell != gone])
    assert (only(run).kind, only(run).cells) == ("missing", (gone,))


def test_an_interrupted_run_says_so() -> None:
    run = small_runs.good()
    run.finished = ""
    assert only(run).kind == "unfinished"


def test_errors_come_first() -> None:
    severities = [finding.severity for finding in findings(small_runs.bad())]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert {"error", "note"} == set(severities)
