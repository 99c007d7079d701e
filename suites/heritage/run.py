"""`python -m suites.heritage`: every engine, then and now, against the oracle, and timed side by side.

Ways of today and those that run only here are compared stage by stage, each in the environment of its engine. What is
above its bound is a finding: localised to the first layer and phase that depart, and explained by the catalogue of
known differences. One that nobody has explained makes the exit status 1; an engine that lacks a precision or can't be
tapped says so. The stories of `stories.toml` are told by small programs, whose output is recorded.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import replace
from itertools import chain, product
from pathlib import Path

from impls import BACKENDS, IMPLEMENTATIONS, MODELS
from suites.code import counts
from suites.heritage import record, stories
from suites.heritage.judging import compared, failed, line
from suites.heritage.record import Verdict
from suites.records import terminal
from suites.records.run import Cell, Program
from suites.runner import environments, plan
from suites.runner.laboratory import Laboratory, Planned, new_run
from suites.runner.machine import ROOT
from suites.runner.plan import Selection
from suites.speed.bench import WHATS, SpeedLaboratory, able

KEPT = ROOT / "reports" / "data" / "heritage.json"
STAGES = {"float64": ("gradients", "trajectory"), "float32": ("float32_step",)}
INFERENCE = {"float64": ("inference",), "float32": ("float32_inference",)}
EXTRA = tuple(name for name, entry in IMPLEMENTATIONS.items() if entry.extra)
REFERENCE = ("raw_tf", "tensorflow")
TODAY = (
    REFERENCE,
    ("raw_torch", "torch"),
    ("raw_jax", "jax"),
    *(("tf_keras", backend) for backend in IMPLEMENTATIONS["tf_keras"].backends),
    *(("shim", name) for name in IMPLEMENTATIONS["shim"].backends if name == "numpy" or BACKENDS[name].extra),
)


def cells(selection: Selection) -> dict[str, list[Cell]]:
    """The cells of each precision: today's ways and the shim's in float64 only, as tests prove them in both."""
    names = selection.implementations or tuple(IMPLEMENTATIONS)
    everything = replace(selection, implementations=names, backends=selection.backends or tuple(BACKENDS))
    today = [cell for cell in everything.cells("float64") if (cell.implementation, cell.backend) in TODAY]
    extra = {}
    for dtype in STAGES:
        extra[dtype] = [cell for cell in everything.cells(dtype) if cell.implementation in EXTRA]
    return {**extra, "float64": [*today, *extra["float64"]]}


def stages(cell: Cell) -> tuple[str, ...]:
    """What a cell is compared in; an engine that only predicts in its predictions."""
    only_predicts = IMPLEMENTATIONS[cell.implementation].inference
    return INFERENCE[cell.dtype] if only_predicts else STAGES[cell.dtype]


def equivalence(laboratory: Laboratory, chosen: dict[str, list[Cell]]) -> Iterator[Verdict]:
    """Every stage of every cell that can run here as it comes, and why those that can't train don't."""
    planned = []
    for cell in chain(*chosen.values()):
        planned += [(cell, stage) for stage in stages(cell)]
    laboratory.begin(sorted(planned, key=_at_home))  # what has an environment of its own compiles longest
    for cell, stage in planned:
        if reason := laboratory.unavailable(cell):
            yield Verdict(cell, stage, "skipped", reason)
    coming = {laboratory.evidence_of[item]: item for item in planned if item in laboratory.evidence_of}
    for future in as_completed(coming):
        cell, stage = coming[future]
        yield compared(laboratory, cell, stage)
        if stage == "float32_inference":
            yield failed(cell, "training", "its engine only predicts")


def _at_home(item: Planned) -> bool:
    """Whether a cell runs in this environment."""
    return environments.of(item[0].implementation, item[0].backend) is None


def speed(laboratory: Laboratory, chosen: Iterable[Cell]) -> Iterator[str]:
    """Time the cells of each model side by side; a line for each task, and for each cell that could not be timed."""
    here = [cell for cell in chosen if not laboratory.unavailable(cell)]
    timed = SpeedLaboratory(laboratory, here)
    for model, what in product(dict.fromkeys(cell.model for cell in here), WHATS):
        cells = [cell for cell in here if cell.model == model and able(cell, what)]
        yield f"{model} {what}: {len(cells)} configurations in turn"
        for cell in cells:
            if failure := timed.arm(cell, what).failure:
                yield f"{plan.label(cell)} {what}: {failure}"
    timed.close()


def timed_cells(chosen: Iterable[Cell]) -> list[Cell]:
    """In float32, each model with what its ratios refer to."""
    cells = [replace(cell, dtype="float32") for cell in chosen]
    graph = IMPLEMENTATIONS[REFERENCE[0]].backends[REFERENCE[1]][0]
    first = [replace(cell, implementation=REFERENCE[0], backend=REFERENCE[1], mode=graph) for cell in cells]
    return sorted(dict.fromkeys([*first, *cells]), key=lambda cell: list(MODELS).index(cell.model))


def lines(chosen: Iterable[Cell]) -> list[Program]:
    """The counts of each program, under the names of all implementations that run it."""
    found = dict.fromkeys((cell.model, cell.implementation) for cell in chosen)
    counted = ((name, counts.program(model, IMPLEMENTATIONS[name].program or name)) for model, name in found)
    return [replace(program, implementation=name) for name, program in counted]


ABOUT = "Compare, time and count the models on every engine, those that came before among them."


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="triptych heritage", description=ABOUT)
    for option in ("model", "implementation", "backend"):
        parser.add_argument(f"--{option}", default="", help="comma-separated (default: all)")
    parser.add_argument("--no-speed", action="store_true", help="measure no times")
    parser.add_argument("--no-stories", dest="stories", action="store_false", help="run no stories")
    parser.add_argument("--threads", default="1", help="threads of each worker, or all (default: 1)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where the run is saved")
    parser.add_argument("--keep", action="store_true", help="also write the file that is committed")
    return parser.parse_args(arguments)


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, time, count, print a line for each. 0: every difference is explained, 1: one is not, 2: bad input."""
    options = parse(arguments)
    words = {"model": options.model, "implementation": options.implementation, "backend": options.backend}
    try:
        selection = plan.selection({**dict.fromkeys(("mode", "device", "size", "require"), ""), **words})
        threads = plan.threads(options.threads)
        plan.check_folder(options.results)
    except plan.PlanError as error:
        return terminal.refuse(error)
    for environment in environments.environments().values():
        environment.link()
    run = new_run({**words, "heritage": "True", "threads": options.threads})
    with Laboratory(selection, run, options.results, threads, quick=True) as laboratory:
        verdicts = measured(laboratory, cells(selection), not options.no_speed)
    told = list(stories.tell()) if options.stories else []
    for path in [options.results / KEPT.name, *([KEPT] if options.keep else [])]:
        record.save(run, verdicts, told, path)
    return int(not all(verdict.known for verdict in verdicts) or not all(story.ended for story in told))


def measured(laboratory: Laboratory, chosen: dict[str, list[Cell]], speeds: bool) -> list[Verdict]:
    """The verdicts in the order of the cells, each told when it is there; lines and times go into the record."""
    verdicts, started = [], time.monotonic()
    order = [cell for some in chosen.values() for cell in some]
    for verdict in equivalence(laboratory, chosen):
        verdicts.append(verdict)
        print(f"{time.monotonic() - started:5.0f} s  {line(verdict)}", flush=True)
    laboratory.record(programs=lines(chosen["float64"]))
    for said in speed(laboratory, timed_cells(chosen["float64"])) if speeds else ():
        print(f"{time.monotonic() - started:5.0f} s  {said}", flush=True)
    print(f"{time.monotonic() - started:5.0f} s  in all", flush=True)
    return sorted(verdicts, key=lambda verdict: order.index(verdict.cell))


if __name__ == "__main__":
    sys.exit(main())
