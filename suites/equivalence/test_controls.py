"""The counting of false alarms counts: a clean worker raises none, one with a fault planted raises one."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest

from suites.equivalence.controls import SHAPES, Case, Tally, compared, known, save
from suites.records.run import Cell
from suites.runner import plan
from suites.runner.availability import availability
from suites.runner.workers import Role, Source, Worker

SEEDS = range(4)  # one of each state of training
FAULT = {"file": "impls/seed/raw_torch.py", "old": "0.01, 0.9, 0.999, 1e-7", "new": "0.01, 0.9, 0.999, 1e-8"}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """A few draws of the smallest model and what the oracle says of them."""
    _, make = SHAPES["distinct"]
    oracle = Worker(Role(*plan.ORACLE))
    try:
        return [known(oracle, Case(make("seed", seed), seed)) for seed in SEEDS]
    finally:
        oracle.stop()


def counted(cases: list[Case], source: Source) -> Tally:
    """What the comparisons of the raw PyTorch program come to."""
    if reason := availability("raw_torch", "torch"):
        pytest.skip(reason)
    cell = Cell("seed", "raw_torch", "torch", "eager", "cpu", "float64")
    worker = Worker(Role("raw_torch", "torch", "eager", source=source))
    try:
        return compared(worker, cell, cases, time.monotonic() + 60)
    finally:
        worker.stop()


def test_a_clean_worker_raises_no_alarm_and_a_faulty_one_does(cases: list[Case]) -> None:
    clean, faulty = counted(cases, Source()), counted(cases, Source(patch=FAULT))
    assert (clean.comparisons, clean.alarms) == (len(SEEDS), [])
    assert min(slack for slacks in clean.slacks.values() for slack in slacks) >= 1
    assert {alarm["seed"] for alarm in faulty.alarms} == set(SEEDS)
    assert {alarm["tensor"].partition("/")[0] for alarm in faulty.alarms} == {"weight"}


def test_runs_add_up_in_one_file(tmp_path: Path) -> None:
    """A second run keeps the first; a worker that agrees to the bit has no slack, and the file stays JSON."""
    tally = Tally(comparisons=2, tensors=3)
    save([tally.document(), {**tally.document(), "workers": {"exact": tally.summary()}}], tmp_path / "controls.json")
    found = json.loads((tmp_path / "controls.json").read_text(), parse_constant=lambda name: math.nan)
    assert [run["comparisons"] for run in found["runs"]] == [2, 2]
    assert found["runs"][1]["workers"]["exact"] == {"comparisons": 2, "false_alarms": 0}
