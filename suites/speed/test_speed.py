"""Measures train step, predict and fit of every selected cell in interleaved rounds; judges nothing."""

from __future__ import annotations

from typing import Any

import pytest

from suites import plan
from suites.records import Cell
from suites.speed.bench import WHATS, SpeedLaboratory
from suites.speed.replay import Replay
from suites.speed.rounds import What

REPLAY = Replay()


@pytest.fixture(scope="session")
def speed(laboratory: Any, request: pytest.FixtureRequest) -> SpeedLaboratory:
    return SpeedLaboratory(laboratory, [cell for cell, stage in laboratory.planned if stage == "speed"])


@pytest.mark.bench
@pytest.mark.parametrize("what", WHATS)
@pytest.mark.cells("float32", "speed")
@pytest.mark.benchmark(timer=REPLAY)
def test_speed(cell: Cell, what: What, speed: SpeedLaboratory, benchmark: Any) -> None:
    """The rounds of one cell, handed to pytest-benchmark as it would have recorded them itself."""
    arm = speed.arm(cell, what)
    if arm.failure:
        pytest.fail(f"{plan.label(cell)}: {arm.failure}", pytrace=False)
    REPLAY.load([seconds / arm.iterations for seconds in arm.seconds])
    benchmark.group = f"{cell.model} {what}"
    benchmark.extra_info.update(cell=cell.id, iterations=arm.iterations, threads=speed.laboratory.threads)
    benchmark.pedantic(lambda: None, rounds=len(arm.seconds))
