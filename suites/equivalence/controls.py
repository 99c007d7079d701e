"""Negative controls: count how often a clean cell exceeds a derived bound.

One comparison is one cell against the float64 truth on one draw of weights and inputs, all tensors: activations,
loss, cotangents, gradients, inference, and the weights, statistics and slots after one step. The draws are taken over
seeds, shapes and states of training; the cells over implementations, backends, modes, precisions, 1 and 2 threads,
and oneDNN on and off. Counts are appended to results/controls.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from impls import DTYPES, IMPLEMENTATIONS, MODELS, weights
from impls.floating_types import UNIT
from suites.equivalence.bounds import slack
from suites.equivalence.compare import exceeding
from suites.equivalence.draws import BATCH, Draw, distinct, equal, random_draw, side
from suites.equivalence.judge import judge
from suites.records import run as records
from suites.records import terminal
from suites.records.run import Cell, Comparison
from suites.runner import plan, stages
from suites.runner.laboratory import new_run, reason_against
from suites.runner.remote_model import RemoteModel
from suites.runner.workers import Arrays, Role, Source, Worker, WorkerFailed

STEPS = 4  # states of training that a draw may start from: after 0 to 3 updates
RUNS = 16  # with random rounding, for each bound
TYPES = ("float32", "float64")
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
THREADS = (1, 2)
QUANTILES = (0.0, 0.01, 0.1, 0.5, 0.9)


def of_real_data(model: str, seed: int) -> Draw:
    """A random part of the model's real data at the small size."""
    spec, rng = MODELS[model], np.random.default_rng(seed)
    split, batch = stages.data(spec.datasets["small"]), spec.batch_size["small"]
    index = np.resize(rng.permutation(len(split.x)), batch * STEPS)
    drawn = weights.canonical(spec.at("small"), seed)
    return Draw(model, "real", "small", drawn, split.x[index], split.y[index], batch)


SHAPES: dict[str, tuple[int, Callable[[str, int], Draw]]] = {
    "distinct": (
        36,
        lambda model, seed: random_draw(model, "distinct", distinct(model), BATCH, BATCH * STEPS, 4, seed),
    ),
    "square": (
        44,
        lambda model, seed: random_draw(
            model, "square", equal(model), side(model), side(model) * STEPS, side(model), seed
        ),
    ),
    "real": (3, of_real_data),
}


@dataclass
class Case:
    """A draw, the state of training it starts from, and what the oracle says of it."""

    draw: Draw
    seed: int
    start: Arrays = field(default_factory=dict)
    truth: Arrays = field(default_factory=dict)
    products: dict[str, Arrays] = field(default_factory=dict)

    @property
    def step(self) -> int:
        return self.seed % STEPS

    def batch(self, number: int) -> Arrays:
        part = slice(number * self.draw.batch, (number + 1) * self.draw.batch)
        return {"x": self.draw.x[part], "y": self.draw.y[part]}


@dataclass
class Tally:
    """What the comparisons of one worker, or of all, came to."""

    comparisons: int = 0
    tensors: int = 0
    slacks: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by precision and phase
    alarms: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.comparisons += other.comparisons
        self.tensors += other.tensors
        self.alarms += other.alarms
        self.failed += other.failed
        for kind, slacks in other.slacks.items():
            self.slacks[kind] += slacks

    def document(self) -> dict[str, Any]:
        counts = {"comparisons": self.comparisons, "tensors": self.tensors, "false_alarms": len(self.alarms)}
        every = [slack for slacks in self.slacks.values() for slack in slacks]
        return {**counts, "slack_quantiles": quantiles(every), "rows": self.alarms, "failed": self.failed}

    def summary(self) -> dict[str, float]:
        """One worker's counts, its median slack and its least."""
        every = [slack for slacks in self.slacks.values() for slack in slacks]  # none: bit-equal
        spread = (
            {"median_slack": round(float(np.median(every)), 2), "least_slack": round(min(every), 2)} if every else {}
        )
        return {"comparisons": self.comparisons, "false_alarms": len(self.alarms), **spread}

    def by_kind(self) -> dict[str, dict[str, float]]:
        """The slack of each precision and of each phase in it."""
        kinds = {kind: quantiles(slacks) for kind, slacks in sorted(self.slacks.items())}
        for dtype in DTYPES:
            of_dtype = [slacks for kind, slacks in self.slacks.items() if kind.startswith(dtype)]
            kinds[dtype] = quantiles(list(itertools.chain.from_iterable(of_dtype)))
        return kinds


def quantiles(slacks: Sequence[float]) -> dict[str, float]:
    """The QUANTILES of how many times larger than the disagreement a bound is, where there is a disagreement."""
    found = np.quantile(slacks, QUANTILES).round(3).tolist() if slacks else []
    return dict(zip(map(str, QUANTILES), found, strict=False))


def evaluated(worker: Worker, case: Case, steps: bool = True) -> Arrays:
    """Everything that is compared, of an open model."""
    batch, model = case.batch(case.step), RemoteModel(worker)
    model.restore(case.start, case.step)
    found = {**model.gradients(**batch), **model.inference(batch["x"])}
    if steps:
        found.update(model.train(**batch, batch_size=len(batch["x"])))
        del found["losses"]  # of one step: the gradients' loss
    return found


def opened(worker: Worker, draw: Draw) -> RemoteModel:
    """The draw's model, built from its weights."""
    model = RemoteModel(worker)
    model.open(draw.model, draw.size, draw.weights)
    return model


def known(worker: Worker, case: Case) -> Case:
    """`case` with its start, truth and errors by the oracle."""
    model, before = opened(worker, case.draw), slice(0, case.step * case.draw.batch)
    if case.step:
        model.train(case.draw.x[before], case.draw.y[before], case.draw.batch)
    for name, value in {**model.weights(), **model.slots()}.items():
        case.start[name] = value.astype(np.float32).astype(float)
    case.truth = evaluated(worker, case)
    for dtype in TYPES:
        case.products[dtype] = stages.spread(worker, lambda: evaluated(worker, case), UNIT[dtype], RUNS)
    return case


def cases(model: str, first: int) -> list[Case]:
    """Every case of a model, its seeds from `first` on, from an oracle of its own."""
    oracle = Worker(Role(*plan.ORACLE))
    try:
        seeds = ((make, first + at) for count, make in SHAPES.values() for at in range(count))
        drawn = [Case(make(model, seed), seed) for make, seed in seeds]
        return [known(oracle, case) for case in drawn]
    finally:
        oracle.stop()


def judged(cell: Cell, case: Case, found: Arrays) -> list[Comparison]:
    """The rows of one comparison, without what a known departure of a released library explains."""
    rows = judge(cell, "float32_step", found, case.truth, case.products[cell.dtype])
    return [row for row in rows if not row.departs]


def named(role: Role) -> str:
    """`shim-torch-eager-cpu-float64, 2 threads, oneDNN 1`."""
    return f"{role.id}, {role.threads} threads, oneDNN {role.source.environment.get(ONEDNN, '-')}"


def compared(worker: Worker, cell: Cell, given: Sequence[Case], deadline: float) -> Tally:
    """All comparisons of one cell on cases of one shape."""
    tally = Tally()
    opened(worker, given[0].draw)
    for case in given:
        rows = judged(cell, case, evaluated(worker, case, not IMPLEMENTATIONS[cell.implementation].departs))
        tally.comparisons += bool(rows)
        tally.tensors += len(rows)
        for row in rows:
            if row.disagreement:
                tally.slacks[f"{cell.dtype} {row.phase}"].append(slack(row))
        place = {"cell": cell.id, "worker": named(worker.role), "draw": case.draw.name, "seed": case.seed}
        numbers = [
            {"tensor": row.tensor, "disagreement": row.disagreement, "bound": row.bound} for row in exceeding(rows)
        ]
        tally.alarms += [{**place, **number} for number in numbers]
        if time.monotonic() > deadline:
            break
    return tally


def served(role: Role, given: dict[str, list[Case]], deadline: float) -> Tally:
    """All comparisons of one worker; one that fails is noted with its reason and the rest goes on."""
    tally = Tally()
    if time.monotonic() > deadline:
        return tally
    worker = Worker(role)
    try:
        for model, name in ((model, name) for name in SHAPES for model in given):
            cell = Cell(model, *role[:5])
            chosen = [case for case in given[model] if case.draw.name == name]
            if time.monotonic() < deadline and chosen:
                tally.add(compared(worker, cell, chosen, deadline))
    except WorkerFailed as failure:
        tally.failed.append(f"{role.id}, {role.threads} threads: {failure}")
    finally:
        worker.stop()
    return tally


def roles(selection: plan.Selection, numbers: Sequence[int]) -> Iterator[Role]:
    """Workers with these numbers of threads in the order in which they run: every cell once before the variants, what
    compiles longest last.
    """
    cells = [replace(cell, model="", dtype=dtype) for cell in selection.cells(DTYPES[0]) for dtype in DTYPES]
    cells = sorted(dict.fromkeys(cells), key=lambda cell: cell.mode == "compile")
    for threads, onednn in ((1, "1"), (2, "0"), (2, "1"), (1, "0")):
        for cell in cells if threads in numbers else ():
            if cell.backend == "tensorflow" or onednn == "1" or threads == 2:
                source = Source(environment={ONEDNN: onednn} if cell.backend == "tensorflow" else {})
                key = (cell.implementation, cell.backend, cell.mode, cell.device, cell.dtype)
                yield Role(*key, threads=threads, source=source)


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="triptych controls", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15.0, help="start no comparison after these (default: 15)")
    parser.add_argument("--seed", type=int, default=0, help="of the first draw of each shape (default: 0)")
    parser.add_argument("--threads", type=int, choices=THREADS, help="of the workers (default: 1, then 2)")
    parser.add_argument("--results", default="results", help="where controls.json is kept (default: results)")
    for name in ("model", "implementation", "backend", "mode"):
        parser.add_argument(f"--{name}", default="", help="comma-separated (default: all)")
    options = parser.parse_args(arguments)
    deadline = time.monotonic() + 60 * options.minutes
    try:
        chosen = plan.selection({"device": "", "size": "", "require": "", **vars(options), "mode": options.mode or ALL})
    except plan.PlanError as error:
        parser.error(str(error))
    record = new_run({name: str(value) for name, value in vars(options).items()})
    about = {"started": record.started, "minutes": options.minutes, "seed": options.seed}
    about["environment"] = asdict(record.environment)
    path = Path(options.results) / "controls.json"
    earlier = json.loads(path.read_text())["runs"] if path.exists() else []
    for found in counted(chosen, deadline, options):  # saved after each worker: nothing counted is lost
        document = {**about, **found}
        save([*earlier, document], path)
    shown = ("comparisons", "tensors", "false_alarms", "slack", "rows", "failed")
    print(json.dumps({name: document[name] for name in shown}, indent=1))
    return 1 if document["false_alarms"] else 0


ALL = ",".join(plan.MODES)


def counted(selection: plan.Selection, deadline: float, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The counts of all workers, and of each, that the selection and the time allow; anew after each of them."""
    numbers = (options.threads,) if options.threads else THREADS
    wanted = [role for role in dict.fromkeys(roles(selection, numbers)) if not reason_against(Cell("seed", *role[:5]))]
    total, each = Tally(), dict[str, dict[str, float]]()
    with ThreadPoolExecutor(os.cpu_count() or 1) as executor:
        models = selection.models or tuple(MODELS)
        given = dict(zip(models, executor.map(lambda model: cases(model, options.seed), models), strict=True))
        for role, tally in zip(wanted, executor.map(lambda role: served(role, given, deadline), wanted), strict=True):
            total.add(tally)
            name = named(role)
            if tally.comparisons or tally.failed:
                each[name] = tally.summary()
                print(f"{name}: {each[name]} {tally.alarms or ''} {tally.failed or ''}", flush=True)
            yield {**total.document(), "slack": total.by_kind(), "workers": each}


def save(runs: list[dict[str, Any]], path: Path) -> None:
    """Write the file, see `records.write`."""
    records.write(path, json.dumps({"format": "triptych-controls", "version": 1, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
