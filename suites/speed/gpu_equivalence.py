"""The part of a GPU's check that asks whether everything there computes what the oracle computes.

Every cell has a worker of its own, and so has every stage of the oracle, so that all of a machine's cores work on it.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from impls.model_differences import refusal
from suites.equivalence import judge
from suites.equivalence.compare import exceeding
from suites.records.gpu import Precision, Verdict
from suites.records.run import Cell, Comparison
from suites.runner import plan
from suites.runner.stages import BOUNDS, NEEDS, STAGES, UNITS, data
from suites.runner.workers import Arrays, Role, Source, Worker, WorkerFailed, compiled_once

STAGES_OF = {"float64": ("gradients", "trajectory"), "float32": ("float32_step",)}
ENVIRONMENTS: dict[str, dict[str, str]] = {  # how products of float32 are computed
    "float32": {},
    "tf32": {"TRIPTYCH_TF32": "1"},
    "bfloat16": {"TRIPTYCH_TF32": "1", "TRIPTYCH_COMPUTE": "bfloat16"},
}
ROUNDOFF = {"tf32": 2.0**-11, "bfloat16": 2.0**-8}  # of the operands of a product: 11 and 8 bits


# What several processes would compile and tune again for the same shapes; nothing is timed before it is compiled.
COMPILED = compiled_once("gpu-check")
LATE = "there was no time left for it"
STARTED: list[Worker] = []  # all that were started here: what is still alive at the end is stopped


def start(cell: Cell, arithmetic: str = "float32") -> Worker:
    """A worker for one cell."""
    role = Role(cell.implementation, cell.backend, cell.mode, cell.device, cell.dtype)
    worker = Worker(role._replace(source=Source(environment={**COMPILED, **ENVIRONMENTS[arithmetic]})))
    STARTED.append(worker)
    return worker


class Truth(NamedTuple):
    """What the oracle computes in a stage, how far rounding takes it, and what the stage needs to begin with."""

    found: Arrays
    spread: Arrays
    needed: list[Arrays]


def truth_of(model: str, stage: str, folder: Path | None) -> Truth:
    """From the folder where `prepare` left it, else computed."""
    path = folder / f"{model}-{stage}.npz" if folder else None
    if path is None or not path.is_file():
        return computed(model, stage)
    with np.load(path, allow_pickle=False) as file:
        if str(file["data"]) != digest(model):
            return computed(model, stage)  # Python's documentation, which a model reads, differs by Python version
        groups: dict[str, Arrays] = {}
        for name in file.files:
            group, _, rest = name.partition("/")
            groups.setdefault(group, {})[rest] = file[name]
    needed = [groups[f"needed{at}"] for at in range(len(NEEDS.get(stage, ())))]
    return Truth(groups["found"], groups["spread"], needed)


def digest(model: str) -> str:
    """Of the data that the model is trained on here."""
    split = data(plan.dataset(Cell(model, *plan.ORACLE)))
    return hashlib.sha256(split.x.tobytes() + split.y.tobytes()).hexdigest()


def computed(model: str, stage: str) -> Truth:
    """By a worker of NumPy's."""
    worker, cell = Worker(Role(*plan.ORACLE)), Cell(model, *plan.ORACLE)
    try:
        needed = [STAGES[name](worker, cell) for name in NEEDS.get(stage, ())]
        found = STAGES[stage](worker, cell, *needed)
        return Truth(found, STAGES[BOUNDS[stage]](worker, cell, *needed), needed)
    finally:
        worker.stop()


def prepare(model: str, stage: str, folder: Path) -> None:
    """Leave what the oracle computes in a folder: it takes minutes that need no GPU, and is the same everywhere."""
    truth = computed(model, stage)
    groups = {"found": truth.found, "spread": truth.spread}
    groups.update((f"needed{at}", arrays) for at, arrays in enumerate(truth.needed))
    arrays: dict[str, Any] = {
        f"{group}/{name}": array for group, held in groups.items() for name, array in held.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{model}-{stage}.npz", data=np.array(digest(model)), **arrays)


Answers = dict[str, Arrays | WorkerFailed]  # by stage: the arrays, or why there are none


class Equivalence:
    """Queues everything on an executor; `verdicts` and `precisions` wait for it, until `deadline`.

    That is a `time.monotonic()`.
    """

    def __init__(self, executor: Executor, models: Iterable[str], folder: Path | None, deadline: float) -> None:
        self.executor, self.deadline = executor, deadline
        stages = [stage for group in STAGES_OF.values() for stage in group]
        self.truths = {(m, s): executor.submit(truth_of, m, s, folder) for s in reversed(stages) for m in models}
        self.answers: dict[tuple[Cell, str], Future[Answers]] = {}

    def ask(self, cell: Cell, arithmetic: str = "float32") -> None:
        """Compare the cell in every stage of its dtype, with products of that arithmetic."""
        self.answers[cell, arithmetic] = self.executor.submit(self._answer, cell, arithmetic)

    def _answer(self, cell: Cell, arithmetic: str) -> Answers:
        stages = STAGES_OF[cell.dtype]
        if time.monotonic() > self.deadline:
            return dict.fromkeys(stages, WorkerFailed(cell.id, LATE))
        try:
            worker = start(cell, arithmetic)
        except WorkerFailed as failure:
            return dict.fromkeys(stages, failure)
        found: Answers = {}
        for stage in stages:
            needed = self.truths[cell.model, stage].result().needed if NEEDS.get(stage) else []
            try:
                found[stage] = STAGES[stage](worker, cell, *needed)
            except WorkerFailed as failure:
                found[stage] = failure
        worker.stop()
        return found

    def verdicts(self) -> list[Verdict]:
        """One for every cell and stage in the precision that it says."""
        plain = [cell for cell, arithmetic in self.answers if arithmetic == "float32"]
        return [self._verdict(cell, stage) for cell in plain for stage in STAGES_OF[cell.dtype]]

    def _rows(self, cell: Cell, stage: str, arithmetic: str) -> list[Comparison] | WorkerFailed:
        """Every tensor with its bound, or why there are none."""
        try:
            left = max(0.0, self.deadline - time.monotonic())
            found = self.answers[cell, arithmetic].result(left)[stage]
            truth = self.truths[cell.model, stage].result(max(0.0, self.deadline - time.monotonic()))
        except TimeoutError:
            return WorkerFailed(cell.id, LATE)
        if isinstance(found, WorkerFailed):
            return found
        return judge.judge(cell, stage, found, truth.found, truth.spread)

    def _verdict(self, cell: Cell, stage: str) -> Verdict:
        rows = self._rows(cell, stage, "float32")
        if isinstance(rows, WorkerFailed):
            place = (cell.implementation, cell.backend, cell.model, cell.device, cell.dtype)
            return Verdict(cell, stage, reason=rows.reason, known=refusal(*place, f"{rows} {rows.details}"))
        bounded = [row for row in rows if row.bound is not None]
        worst = max(bounded, key=_multiple, default=None)
        if worst is None:
            return Verdict(cell, stage, len(rows))
        known = next((row.cause for row in rows if row.departs), "")
        return Verdict(cell, stage, len(rows), len(exceeding(rows)), _multiple(worst), worst.tensor, known)

    def precisions(self) -> list[Precision]:
        """One for every cell with each of the coarser products, and the same cells in float32."""
        coarse = [key for key in self.answers if key[1] != "float32"]
        fine = dict.fromkeys((cell, "float32") for cell, _ in coarse)
        return [self._precision(*key) for key in [*fine, *coarse] if key in self.answers]

    def _precision(self, cell: Cell, arithmetic: str) -> Precision:
        stage = "float32_step"
        rows = self._rows(cell, stage, arithmetic)
        if isinstance(rows, WorkerFailed):
            return Precision(cell, arithmetic, math.nan, math.nan, "", 0, 0, rows.reason)
        scale = ROUNDOFF.get(arithmetic, UNITS[stage]) / UNITS[stage]  # first order: errors grow with the unit
        wide = [replace(row, bound=row.bound * scale) for row in rows if row.bound is not None]
        gradients = [row for row in wide if row.tensor.startswith("gradient/")]
        worst = max(gradients, key=lambda row: row.disagreement)
        outside = len(exceeding(wide))
        return Precision(cell, arithmetic, worst.disagreement, worst.bound or 0.0, worst.tensor, outside, len(wide))


def _multiple(row: Comparison) -> float:
    """A disagreement as a multiple of its bound."""
    if not row.disagreement:
        return 0.0
    return row.disagreement / row.bound if row.bound else math.inf
