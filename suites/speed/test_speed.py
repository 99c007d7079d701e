"""Measures what the selected cells cost, in interleaved rounds; judges nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from suites.records.run import Cell
from suites.runner import plan
from suites.speed.bench import TASKS, SpeedLaboratory
from suites.speed.replay import Replay
from suites.speed.rounds import Arm

REPLAY = Replay()
FULL = {"predict_one"}  # a quick run leaves these tasks out


@pytest.fixture(scope="session")
def speed(laboratory: Any, request: pytest.FixtureRequest) -> Iterator[SpeedLaboratory]:
    made = SpeedLaboratory(laboratory, [cell for cell, stage in laboratory.planned if stage == "speed"])
    yield made
    made.close()


def checked(cell: Cell, arm: Arm) -> None:
    """Fail with the reason for which there is no measurement."""
    if arm.failure:
        pytest.fail(f"{plan.label(cell)}: {arm.failure}", pytrace=False)


def replayed(benchmark: Any, cell: Cell, arm: Arm, group: str) -> None:
    """Hand the rounds of one cell to pytest-benchmark as it would have recorded them itself."""
    checked(cell, arm)
    REPLAY.load([seconds / arm.iterations for seconds in arm.seconds])
    benchmark.group = group
    benchmark.extra_info.update(cell=cell.id, iterations=arm.iterations, threads=arm.worker.threads)
    benchmark.pedantic(lambda: None, rounds=len(arm.seconds))


@pytest.mark.bench
@pytest.mark.parametrize("task", [pytest.param(name, marks=[pytest.mark.full] * (name in FULL)) for name in TASKS])
@pytest.mark.cells("float32", "speed")
@pytest.mark.benchmark(timer=REPLAY)
def test_speed(cell: Cell, task: str, speed: SpeedLaboratory, benchmark: Any) -> None:
    """A train step, predictions, and fitting."""
    if speed.is_left_out(cell, task):
        pytest.skip(f"{task} of {cell.model} takes long on {cell.backend}: a full run measures it")
    replayed(benchmark, cell, speed.arm(cell, task), f"{cell.model} {task}")


@pytest.mark.bench
@pytest.mark.full
@pytest.mark.cells("float32", "speed")
def test_latency(cell: Cell, speed: SpeedLaboratory) -> None:
    """Single predictions, for percentiles."""
    checked(cell, speed.latencies(cell))


@pytest.mark.bench
@pytest.mark.full
@pytest.mark.cells("float32", "speed")
def test_law_of_cost(cell: Cell, speed: SpeedLaboratory) -> None:
    """A train step over widths and batch sizes."""
    checked(cell, speed.law(cell))


@pytest.mark.bench
@pytest.mark.full
@pytest.mark.cells("float32", "speed")
def test_flops(cell: Cell, speed: SpeedLaboratory) -> None:
    """Floating-point operations, specified and counted."""
    checked(cell, speed.flops(cell))


@pytest.mark.bench
@pytest.mark.full
@pytest.mark.cells("float32", "speed")
def test_cold_start(cell: Cell, speed: SpeedLaboratory) -> None:
    """Import, first call and memory of a fresh process."""
    checked(cell, speed.cold(cell))


@pytest.mark.bench
@pytest.mark.full
@pytest.mark.cells("float32", "speed")
@pytest.mark.benchmark(timer=REPLAY)
def test_all_threads(cell: Cell, speed: SpeedLaboratory, benchmark: Any) -> None:
    """A train step with a thread for each core."""
    threads = os.cpu_count() or 1
    if threads == speed.laboratory.threads or cell.device != "cpu":
        pytest.skip("the whole run has a thread for each core, or is a GPU's")
    replayed(benchmark, cell, speed.arm(cell, "train_step", threads), f"{cell.model} train_step, {threads} threads")
