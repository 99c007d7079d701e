"""The speed of the selected cells: for each model all implementations side by side, on what a user waits for."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import numpy as np

from suites import plan
from suites.laboratory import Laboratory
from suites.records import Cell, Timing
from suites.speed.rounds import Arm, Settings, What, guarded, measure
from suites.stages import data, opened

WHATS: tuple[What, ...] = get_args(What)
FIT_BATCHES = 10  # an epoch of the character model would take minutes a round; its cost a batch is the same
SETTINGS = {
    "train_step": {True: Settings(12, 0.01), False: Settings(60, 0.05)},
    "predict": {True: Settings(12, 0.01), False: Settings(60, 0.05)},
    "fit": {True: Settings(5, 0.05), False: Settings(20, 0.1)},
}


class SpeedLaboratory:
    """Measures a model's cells together at the first question about one of them."""

    def __init__(self, laboratory: Laboratory, planned: Sequence[Cell]) -> None:
        self.laboratory, self.planned = laboratory, planned
        self.measured: dict[tuple[str, What], dict[Cell, Arm]] = {}

    def arm(self, cell: Cell, what: What) -> Arm:
        """What was measured of `cell`; its `failure` says why there is nothing."""
        if (cell.model, what) not in self.measured:
            self._measure(cell.model)
        return self.measured[cell.model, what][cell]

    def _measure(self, model: str) -> None:
        cells = [cell for cell in self.planned if cell.model == model and not self.laboratory.unavailable(cell)]
        self.laboratory.quiet()
        arms = {cell: Arm(self.laboratory.worker(cell)) for cell in cells}
        with ThreadPoolExecutor(2) as executor:  # starting and building are not timed
            list(executor.map(lambda cell: guarded(arms[cell], lambda: _prepare(arms[cell], cell)), cells))
        for what in WHATS:
            fresh = {cell: Arm(arm.worker, failure=arm.failure) for cell, arm in arms.items()}
            running = [arm for arm in fresh.values() if not arm.failure]
            measure(running, what, SETTINGS[what][self.laboratory.quick])
            self.measured[model, what] = fresh
            self._record(fresh, what)

    def _record(self, arms: dict[Cell, Arm], what: What) -> None:
        for cell, arm in arms.items():
            if arm.failure:
                self.laboratory.failed(cell, "speed", f"{what}: {arm.failure}")
            else:
                self.laboratory.record(timings=[_timing(cell, what, arm, self.laboratory.threads)])
                self.laboratory.passed(cell, "speed")


def _timing(cell: Cell, what: What, arm: Arm, threads: int) -> Timing:
    group = f"{cell.model}-{what}-{cell.size}-{cell.device}"
    return Timing(
        cell=cell,
        group=group,
        what=what,
        iterations=arm.iterations,
        seconds=arm.seconds,
        first_call_seconds=arm.first_call_seconds,
        batch_size=plan.batch_size(cell),
        threads=threads,
    )


def _prepare(arm: Arm, cell: Cell) -> None:
    """Build the model and leave its data with the worker."""
    opened(arm.worker, cell)
    split, batch = data(plan.dataset(cell)), plan.batch_size(cell)
    index = np.arange(min(len(split.x), FIT_BATCHES * batch))
    arm.worker.call("prepare", {"x": split.x[index], "y": split.y[index]}, timeout=300, batch_size=batch)
