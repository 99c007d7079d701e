"""The part of a GPU's check that asks whether everything there computes what the oracle computes.

Every cell has a worker of its own, and so has every stage of the oracle, so that all of a machine's cores work on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from dataclasses import replace

from suites.equivalence import judge
from suites.equivalence.compare import exceeding
from suites.records.gpu import Precision, Verdict
from suites.records.run import Cell, Comparison
from suites.runner import plan
from suites.runner.stages import BOUNDS, NEEDS, STAGES, UNITS
from suites.runner.workers import Arrays, Role, Source, Worker, WorkerFailed

STAGES_OF = {"float64": ("gradients", "trajectory"), "float32": ("float32_step",)}
ENVIRONMENTS: dict[str, dict[str, str]] = {  # how products of float32 are computed
    "float32": {},
    "tf32": {"TRIPTYCH_TF32": "1"},
    "bfloat16": {"TRIPTYCH_TF32": "1", "TRIPTYCH_COMPUTE": "bfloat16"},
}
ROUNDOFF = {"tf32": 2.0**-11, "bfloat16": 2.0**-8}  # of the operands of a product: 11 and 8 bits


def start(cell: Cell, arithmetic: str = "float32") -> Worker:
    """A worker for one cell."""
    role = Role(cell.implementation, cell.backend, cell.mode, cell.device, cell.dtype)
    environment = ENVIRONMENTS[arithmetic]
    return Worker(role._replace(source=Source(environment=environment)) if environment else role)


Truth = dict[str, Arrays]  # of one stage and model: "truth", "spread", and what the stage needs


def truth_of(model: str, stage: str) -> Truth:
    """What the oracle computes in a stage, and how far rounding takes it."""
    worker = Worker(Role(*plan.ORACLE))
    cell = Cell(model, *plan.ORACLE)
    try:
        needed = [STAGES[name](worker, cell) for name in NEEDS.get(stage, ())]
        found = STAGES[stage](worker, cell, *needed)
        spread = STAGES[BOUNDS[stage]](worker, cell, *needed)
    finally:
        worker.stop()
    return {"truth": found, "spread": spread, **{f"needed/{at}": each for at, each in enumerate(needed)}}


def answer_of(cell: Cell, stage: str, truth: Future[Truth], arithmetic: str = "float32") -> Arrays:
    """What a cell computes in a stage. Raises WorkerFailed."""
    needed = [array for name, array in truth.result().items() if name.startswith("needed/")] if NEEDS.get(stage) else []
    worker = start(cell, arithmetic)
    try:
        return STAGES[stage](worker, cell, *needed)
    finally:
        worker.stop()


class Equivalence:
    """Queues everything on an executor; `verdicts` and `precisions` wait for it."""

    def __init__(self, executor: Executor, models: Iterable[str]) -> None:
        self.executor = executor
        stages = [stage for group in STAGES_OF.values() for stage in group]
        self.truths = {(m, stage): executor.submit(truth_of, m, stage) for stage in reversed(stages) for m in models}
        self.answers: dict[tuple[Cell, str, str], Future[Arrays]] = {}

    def ask(self, cell: Cell) -> None:
        """Compare the cell in every stage of its dtype."""
        for stage in STAGES_OF[cell.dtype]:
            self._ask(cell, stage, "float32")

    def ask_precision(self, cell: Cell, arithmetic: str) -> None:
        """Compare one float32 step with coarser products."""
        self._ask(cell, "float32_step", arithmetic)

    def _ask(self, cell: Cell, stage: str, arithmetic: str) -> None:
        truth = self.truths[cell.model, stage]
        self.answers[cell, stage, arithmetic] = self.executor.submit(answer_of, cell, stage, truth, arithmetic)

    def verdicts(self) -> list[Verdict]:
        """One for every cell and stage in the precision that it says."""
        asked = [key for key in self.answers if key[2] == "float32"]
        return [self._verdict(cell, stage) for cell, stage, _ in asked]

    def _rows(self, cell: Cell, stage: str, arithmetic: str) -> list[Comparison]:
        truth = self.truths[cell.model, stage].result()
        return judge.judge(cell, stage, self.answers[cell, stage, arithmetic].result(), truth["truth"], truth["spread"])

    def _verdict(self, cell: Cell, stage: str) -> Verdict:
        try:
            rows = self._rows(cell, stage, "float32")
        except WorkerFailed as failure:
            return Verdict(cell, stage, reason=str(failure))
        bounded = [row for row in rows if row.bound is not None]
        worst = max(bounded, key=_multiple, default=None)
        if worst is None:
            return Verdict(cell, stage, len(rows))
        known = next((row.cause for row in rows if row.departs), "")
        return Verdict(cell, stage, len(rows), len(exceeding(rows)), _multiple(worst), worst.tensor, known)

    def precisions(self) -> list[Precision]:
        """One for every cell with each of the coarser products, and the same cells in float32."""
        coarse = [key for key in self.answers if key[2] != "float32"]
        fine = dict.fromkeys((cell, stage, "float32") for cell, stage, _ in coarse)
        return [self._precision(*key) for key in [*fine, *coarse] if key in self.answers]

    def _precision(self, cell: Cell, stage: str, arithmetic: str) -> Precision:
        try:
            rows = self._rows(cell, stage, arithmetic)
        except WorkerFailed as failure:
            return Precision(cell, arithmetic, math.nan, math.nan, "", 0, 0, str(failure))
        scale = ROUNDOFF.get(arithmetic, UNITS[stage]) / UNITS[stage]  # first order: errors grow with the unit
        wide = [replace(row, bound=row.bound * scale) for row in rows if row.bound is not None]
        gradients = [row for row in wide if row.tensor.startswith("gradient/")]
        worst = max(gradients, key=lambda row: row.disagreement)
        allowed = worst.bound or 0.0
        return Precision(
            cell, arithmetic, worst.disagreement, allowed, worst.tensor, len(exceeding(wide)), len(wide)
        )  # fmt: skip


def _multiple(row: Comparison) -> float:
    """A disagreement as a multiple of its bound."""
    if not row.disagreement:
        return 0.0
    return row.disagreement / row.bound if row.bound else math.inf
