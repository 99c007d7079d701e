"""The first screen says what the records say: each planted defect changes the words that a reader sees first."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TypeVar

import pytest

from reports import answer, claims, price
from reports.claims import Claim
from reports.evidence.load import gather
from reports.sections import speed
from reports.statistics import cost_model
from reports.testing import small_runs
from reports.testing.small_runs import WAYS, cell
from suites.records.run import Comparison, Outcome, Planned, Run, Sweep, Timing, Training


def said(run: Run) -> dict[str, Claim]:
    return {claim.id: claim for claim in claims.claims(claims.compute(gather([run])))}


def lead(run: Run) -> str:
    found = claims.compute(gather([run]))
    return " ".join(answer.sentences(found, claims.claims(found)))


def shown(run: Run, panel: int) -> dict[str, list[str]]:
    """What a panel shows, by the way's colour."""
    found = claims.compute(gather([run]))
    return {way.panel: way.values for way in answer.panels(found, claims.claims(found))[panel].ways}


def test_worst_is_the_largest_of_all_tensors() -> None:
    """Also where the largest has no bound, and the one nearest to its bound is small."""
    run = small_runs.good()
    at = cell("mlp", WAYS[1])
    run.comparisons.append(Comparison(at, cell(), "slot", "slot/v/embedding", 0.019, None, "a convention", True))
    run.comparisons.append(Comparison(at, cell(), "slot", "slot/m/logits", 9e-13, 1e-12, "rounding"))
    assert shown(run, 0)["keras"] == ["1.9 %"]
    assert "1.9 % (mlp, Keras 3 on TensorFlow (graph, float64), slot/v/embedding, which has no bound)" in (
        said(run)["same"].sentence
    )


def test_what_is_exact_takes_nothing_of_a_bound_of_zero() -> None:
    """Rows that an embedding looks up are copies: no rounding is allowed there, and none was seen."""
    run = small_runs.good()
    run.comparisons.append(Comparison(cell(), cell(), "forward", "activation/embedding", 0.0, 0.0))
    assert "inf" not in said(run)["same"].sentence and said(run)["same"].verdict == claims.HOLDS
    run.comparisons.append(Comparison(cell(), cell(), "forward", "activation/other", 1e-300, 0.0))
    assert said(run)["same"].verdict == claims.REFUTED


def test_everything_planned_is_in_the_denominator() -> None:
    """A training that failed, was skipped or never ran is none that reached its target."""
    run = small_runs.good()
    run.planned += [Planned(item.cell, "training") for item in run.trainings]
    for at, status in enumerate(("failed", "skipped", "")):
        gone = cell(f"model {at}")
        run.planned += [Planned(gone, "training"), Planned(gone, "equivalence")]
        if status:
            run.outcomes.append(Outcome(gone, "start", status, "why"))  # type: ignore[arg-type]
    found = said(run)
    for name, text in (("learns", "10 reached the target"), ("same", "10 same in all tensors")):
        assert found[name].verdict.word == "holds for 10 of 13, 3 not decided"
        assert "13 " in found[name].sentence and text in found[name].sentence
        assert all(part in found[name].sentence for part in ("1 failed", "1 skipped", "1 not run"))


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_an_accuracy_that_is_no_number_reaches_nothing(value: float) -> None:
    run = small_runs.good()
    run.trainings[0] = Training(**{**vars(run.trainings[0]), "value": value})
    assert said(run)["learns"].verdict == claims.REFUTED


def test_the_lead_says_nothing_of_what_differs() -> None:
    """And says the rest."""
    run = small_runs.good()
    assert "Keras 3 to " in lead(run).replace("Title of tf_keras", "Keras 3")
    run.comparisons.append(Comparison(cell("mlp", WAYS[1]), cell(), "forward", "activation/logits", 0.5, 1e-12))
    assert "Title of tf_keras to" not in lead(run) and "Title of shim to" in lead(run)
    assert "50 %" not in lead(run) and "of the lines" in lead(run)
    assert lead(small_runs.empty()) == ""


def test_the_price_shows_every_call() -> None:
    """A fit that costs more than a step stands beside it."""
    run = small_runs.good()
    for item in [item for item in run.timings if item.what == "train_step" and item.threads == 1]:
        factor = 5 if item.cell.implementation == "tf_keras" else 1
        seconds = [factor * second for second in item.seconds]
        run.timings.append(replace(item, what="fit", seconds=seconds, group=f"{item.group} fit"))
    step, predict, fit = (float(text[:-1]) for text in shown(run, 2)["keras"])
    assert step == pytest.approx(2, rel=0.03) and predict == pytest.approx(2, rel=0.03)
    assert fit == pytest.approx(10, rel=0.03)
    assert f"{shown(run, 2)['keras'][2]} for a fit" in lead(run)


def test_undecided_is_not_refuted() -> None:
    """One model whose interval is too wide leaves the claim standing for the others."""
    run, rng = small_runs.good(), random.Random(0)
    for item in run.timings:
        if item.cell.model == "seed" and item.cell.implementation == "tf_keras":
            item.seconds[:] = [1e-3 * rng.lognormvariate(0, 2) for _ in item.seconds]
    assert said(run)["slower"].verdict.word == "holds for 1 of 2, 1 not decided"


T = TypeVar("T", Comparison, Training, Timing, Outcome, Sweep)


def _moved(items: list[T]) -> list[T]:
    """Those that need no TensorFlow, and the shim's again as the raw program's."""
    kept = [item for item in items if item.cell.backend != "tensorflow"]
    raw = {"implementation": "raw_torch", "mode": "compile"}
    return kept + [replace(it, cell=replace(it.cell, **raw)) for it in kept if it.cell.implementation == "shim"]


def without_tensorflow(run: Run) -> Run:
    """As on a machine that has none: PyTorch's raw program is there."""
    run.titles["raw_torch"] = "PyTorch"
    run.comparisons, run.trainings = _moved(run.comparisons), _moved(run.trainings)
    run.timings, run.outcomes = _moved(run.timings), _moved(run.outcomes)
    run.sweeps = _moved(run.sweeps)
    run.programs += [replace(item, implementation="raw_torch") for item in run.programs if "raw" in item.implementation]
    run.programs = [item for item in run.programs if item.implementation != "raw_tf"]
    return run


def test_a_machine_without_tensorflow_has_a_whole_page() -> None:
    run = without_tensorflow(small_runs.good())
    found = claims.compute(gather([run]))
    assert str(found.speed.reference) == "raw_torch on PyTorch"
    assert all(row.ratio for row in found.speed.rows)
    for panel in answer.panels(found, claims.claims(found)):
        values = [value for way in panel.ways for value in way.values[:2]]
        assert len(values) >= 3 and "no data" not in values
    assert lead(run).count(".") > 4


def test_a_group_without_the_reference_has_the_next_one() -> None:
    """A GPU's rounds without TensorFlow, beside a processor's with it."""
    both, other = small_runs.good(), without_tensorflow(small_runs.good())
    for item in other.timings:
        moved = replace(item, cell=replace(item.cell, device="gpu"), group=f"{item.group} gpu")
        both.timings.append(moved)
    report = speed.report(gather([both]))
    assert all(row.ratio for row in report.rows)
    assert {figure.reference for figure in report.figures} == {"raw_tf on TensorFlow", "raw_torch on PyTorch"}


def test_the_banner_says_what_limits_the_numbers() -> None:
    run = small_runs.good()
    words = [it.verdict.word for it in answer.banner(claims.compute(gather([run])))]
    assert words == ["quick run"]
    run.finished, run.options["quick"] = "", "False"
    run.planned.append(Planned(cell("cnn"), "speed"))
    run.controls[0].seconds[:] = [3e-2] * 5
    run.outcomes.append(Outcome(cell("cnn"), "training", "failed", "why"))
    found = answer.banner(claims.compute(gather([run])))
    assert [it.verdict.word for it in found] == ["interrupted", "unsteady machine", "failed"]
    assert "1 of 1 planned stage" in found[0].text and "1 of 11 trainings" in found[2].text


def test_the_batch_from_which_an_api_no_longer_shows() -> None:
    """Worked by hand: 1 ms + 10 µs an example against 0.1 ms + 10 µs, equal within a tenth from 890 on."""
    mine, other = (small_runs.sweep(cell(), overhead, 1e10, [1.0] * 24, update=0.0) for overhead in (1e-3, 1e-4))
    assert price.crossing(mine, other) == pytest.approx(890, rel=0.01)
    slower = small_runs.sweep(cell(), 1e-4, 0.5e10, [1.0] * 24, update=0.0)
    assert price.crossing(slower, other) is None
    assert price.crossing(other, mine) == 1
    assert cost_model.fit(cost_model.rows(mine), [seconds[0] for seconds in mine.seconds])[0] == pytest.approx(1e-3)


def test_a_retimed_arm_of_another_machine_changes_nothing() -> None:
    """Ratios of the panel are those of one group of rounds."""
    run = small_runs.good()
    before = shown(run, 2)
    run.timings.append(Timing(cell("mlp", WAYS[1], "float32"), "other", "train_step", 1, [9.0] * 20, 9.0, 64, 1))
    assert shown(run, 2) == before
