"""The law of cost is found where it holds, its intervals hold the truth, and a machine that misbehaves is told of."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from reports import formatting
from reports.evidence.load import gather
from reports.findings import findings
from reports.sections import costs, crossover
from reports.statistics import cost_model
from reports.testing import full_run, small_runs
from reports.testing.browser import Visit
from suites.records.run import Latency

OVERHEAD, THROUGHPUT = 1e-4, 2e10


def rounds(rng: random.Random, count: int = 24) -> list[float]:
    """Factors of rounds that resemble their neighbours."""
    level, found = 0.0, []
    for _ in range(count):
        level = 0.4 * level + rng.gauss(0, 0.03)
        found.append(2.718281828**level)
    return found


def noisy(seed: int) -> cost_model.Law:
    rng = random.Random(seed)
    exact = small_runs.sweep(small_runs.cell(), OVERHEAD, THROUGHPUT, [1.0] * 24)
    found = cost_model.law(
        replace(exact, seconds=[[t * f for t, f in zip(p, rounds(rng), strict=True)] for p in exact.seconds])
    )
    assert found
    return found


def test_an_exact_law_is_found_exactly() -> None:
    found = cost_model.law(small_runs.sweep(small_runs.cell(), OVERHEAD, THROUGHPUT, [1.0] * 9, update=2e-9))
    assert found
    assert found.terms == pytest.approx((OVERHEAD, 1 / THROUGHPUT, 2e-9))
    assert found.misfit == pytest.approx(0, abs=1e-9)
    assert found.seconds(64) == pytest.approx(found.sweep.seconds[2][0])
    share = found.overhead.value / found.seconds(found.enough.value)
    assert share == pytest.approx(cost_model.SHARE)


def test_intervals_of_the_overhead_hold_the_truth() -> None:
    """Of 60 sweeps whose rounds resemble their neighbours; at an honest 95 % fewer than 52 are one in a hundred."""
    laws = [noisy(seed) for seed in range(60)]
    assert sum(found.overhead.low <= OVERHEAD <= found.overhead.high for found in laws) >= 52
    widths = [(found.overhead.high - found.overhead.low) / OVERHEAD for found in laws]
    assert sum(widths) / len(widths) < 0.4


def test_no_overhead_is_no_overhead() -> None:
    """A term that is not there comes out as zero, never below."""
    found = cost_model.law(small_runs.sweep(small_runs.cell(), 0.0, THROUGHPUT, [1.0] * 9))
    assert found and found.overhead.value == pytest.approx(0, abs=1e-12) and min(found.terms) >= 0
    assert found.enough.value == 1


def test_the_sentence_names_who_pays_most() -> None:
    figures = costs.report(gather([small_runs.good()])).figures
    assert [figure.model for figure in figures] == list(small_runs.MODELS)
    said = "costs 49.9 µs with shim on PyTorch (the least) and 299 µs with Keras 3 on PyTorch (the most)"
    assert said in figures[0].sentence


def swept(backend: str, overhead: float, throughput: float) -> cost_model.Law:
    cell = replace(small_runs.cell(), implementation="shim", backend=backend)
    found = cost_model.law(small_runs.sweep(cell, overhead, throughput, [1.0] * 9, update=0.0))
    assert found
    return found


def test_the_fastest_engine_changes_with_the_batch() -> None:
    """By hand: 10 µs and 100 µs an example against 1 ms and 1 µs an example cross at a batch of 10."""
    small, large = swept("numpy", 1e-5, 1e9), swept("torch", 1e-3, 1e11)
    (row,) = crossover.crossover({"mlp": [small, large]})
    names = [place.law.sweep.cell.backend if place else "" for place in row.places]
    assert names == ["numpy", "numpy", "torch", "torch"]
    assert crossover.fastest([small, large], 4096) is None  # no such batch was swept
    assert row.places[0] and row.places[0].seconds == pytest.approx(1.1e-4, rel=1e-3)
    assert row.places[0].times == pytest.approx(1.001e-3 / 1.1e-4, rel=1e-3)
    assert crossover.crossover({"mlp": [small, small]}) == []  # one engine is no choice


def test_percentiles_need_calls_beyond_them() -> None:
    many = Latency(small_runs.cell(), 1, 1, [[round_ * 50 + call for call in range(1, 51)] for round_ in range(20)])
    found = costs.percentiles(many)
    assert [it and it.value for it in found.values] == [501, 901, 991]
    assert all(it and it.low < it.value < it.high for it in found.values[:2])
    few = costs.percentiles(replace(many, seconds=[[1.0] * 3] * 20))
    assert few.values[1] is not None and few.values[2] is None


def test_a_share_of_the_peak_is_taken_within_a_group() -> None:
    row = next(row for row in costs.report(gather([small_runs.good()])).rows if row.share)
    assert row.step and row.rate == pytest.approx(1e6 / costs.seconds(row.step))
    assert row.share == pytest.approx((row.rate or 0) / 1e11)
    assert row.wide and row.wide.threads == 2


def test_a_steady_idle_machine_is_no_finding() -> None:
    assert not [found for found in findings(small_runs.good()) if found.kind in ("machine", "busy")]


def test_a_control_that_varies_is_a_finding() -> None:
    run = small_runs.good()
    run.controls[0] = replace(run.controls[0], seconds=[1.5e-2] * 5)
    (found,) = [found for found in findings(run) if found.kind == "machine"]
    assert found.severity == "warning" and "1.50" in found.detail


def test_a_worker_that_spins_while_it_waits_is_a_finding() -> None:
    run = small_runs.good()
    run.timings[0] = replace(run.timings[0], idle_seconds=10.0, idle_cpu_seconds=4.0)
    (found,) = [found for found in findings(run) if found.kind == "busy"]
    assert found.cells == (run.timings[0].cell,) and "40 %" in found.detail


def test_the_slider_says_what_the_law_says(browser: Any, full_address: str) -> None:
    """At any batch the column of the slider is what Python finds fastest; a link keeps it."""
    figures = costs.report(full_run.evidence([full_run.full()])).figures
    laws = {figure.model: figure.laws for figure in figures}
    with Visit(browser, f"{full_address}#batch=37") as visit:
        assert visit.page.locator("#size-said").inner_text() == "37"
        shown = dict(
            zip(visit.column("crossover", 1), visit.column("crossover", len(crossover.BATCHES) + 2), strict=True)
        )
        for model, text in shown.items():
            found = crossover.fastest(laws[model], 37)
            assert found and found.times and text.startswith(f"{found.name} {formatting.seconds(found.seconds)}")
            assert f"next engine {formatting.ratio(found.times)}" in text
        visit.page.locator("#size").fill("100")
        largest = crossover.largest(crossover.crossover(laws))
        assert f"batch={largest}" in visit.page.url and visit.page.locator("#size-said").inner_text() == str(largest)
