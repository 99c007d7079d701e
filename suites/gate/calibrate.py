"""Count how often the gate's own comparison errs on this machine.

Both arms are the same tree. Comparisons of identical work must not alarm, with the machine's natural load and under a
generator of bursts; comparisons in which head makes exactly 1, 2, 5 or 10 % more calls must. Each comparison is one
call of `paired_rounds.fight`, as in the gate. What it said is a line of a file; `reports.gate.error_rates` counts.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from suites.gate import other_rules, placement, revisions
from suites.gate import paired_rounds as duels
from suites.gate.load_generator import Bursts
from suites.gate.paired_rounds import Duel, Pairs, build, decided, fight, pairs_of, units
from suites.records import stopping_rule, terminal
from suites.records.run import Cell
from suites.records.stopping_rule import PAIRS, Rule
from suites.runner import machine, plan
from suites.runner.laboratory import now, reason_against
from suites.runner.workers import Role, Source, Worker, WorkerFailed
from suites.speed.rounds import What


class Contest(NamedTuple):
    """A cell and what is called of it; `exact` are the injections, in percent, whose blocks stay short."""

    model: str
    implementation: str
    backend: str
    mode: str
    what: What
    exact: tuple[int, ...]


CONTESTS = (
    Contest("seed", "shim", "numpy", "eager", "predict", (1, 2, 5, 10)),
    Contest("seed", "shim", "torch", "eager", "predict", (1, 2, 5, 10)),
    Contest("seed", "shim", "jax", "jit", "predict", (1, 2, 5, 10)),
    Contest("seed", "raw_tf", "tensorflow", "xla", "predict", (5, 10)),
    Contest("mlp", "shim", "numpy", "eager", "train_step", (10,)),
    Contest("mlp", "raw_torch", "torch", "eager", "train_step", (10,)),
    Contest("mlp", "shim", "jax", "jit", "train_step", (10,)),
    Contest("mlp", "tf_keras", "tensorflow", "graph", "predict", (10,)),
)
DECIDES = (stopping_rule, duels, placement)
IDENTICAL = 12  # comparisons of identical work to one of each injection
CALLS = {0: 1, 1: 100, 2: 50, 5: 20, 10: 10}  # in a unit, of which this many percent are whole calls
PAIR_SECONDS = 40.0  # then the same contest gets new processes


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    random.seed(options.seed)
    try:
        plan.check_folder(Path(options.results))
        with tempfile.TemporaryDirectory(prefix="triptych-gate-") as folder:
            run(options, Path(folder))
    except (plan.PlanError, revisions.RevisionError) as error:
        return terminal.refuse(error)
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="triptych calibrate --own", description=__doc__.partition("\n")[0])
    found.add_argument("--seconds", type=float, default=600.0, help="how long to count (default: 600)")
    found.add_argument("--results", default="results", metavar="FOLDER")
    found.add_argument("--seed", type=int, default=int(time.time()), help="of orders and bursts (default: the time)")
    found.add_argument("--load", choices=("both", "natural", "bursts"), default="both")
    return found


def run(options: argparse.Namespace, folder: Path) -> None:
    """Count until the time is over; each line is written as soon as it is known."""
    sources = trees(folder)
    path = Path(options.results) / f"calibration-{now()[:19].replace(':', '').replace('-', '')}-{os.getpid()}.jsonl"
    end = time.monotonic() + options.seconds
    loads = ("natural", "bursts") if options.load == "both" else (options.load,)
    contests = [contest for contest in CONTESTS if not reason_against(_cell(contest))]
    with path.open("w", encoding="utf-8") as lines:
        _write(lines, {"environment": asdict(machine.environment()), "rule": fingerprint(), "started": now()})
        for turn in itertools.count():
            for contest, load in random.sample(list(itertools.product(contests, loads)), len(contests) * len(loads)):
                if time.monotonic() >= end:
                    return
                try:
                    with Bursts(turn) if load == "bursts" else contextlib.nullcontext():
                        for found in comparisons(contest, sources, end):
                            _write(lines, {"load": load, "average": os.getloadavg()[0], **found})
                except WorkerFailed as failure:  # costs the comparisons of its own contest, and is seen
                    terminal.LOG.warning("%s", failure)


def fingerprint(modules: Iterable[ModuleType] = DECIDES) -> str:
    """Of the code that decides, without comments and docstrings: counts of other code say nothing about it."""
    parts = []
    for module in modules:
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        parts.append(ast.dump(tree))
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def trees(folder: Path) -> tuple[Source, Source]:
    """The working tree twice, as the gate would take it."""
    python = placement.launcher(sys.executable, folder, "python")
    for name in ("base", "head"):
        revisions.take("", "--head", folder / name, sys.executable)
    base, head = (Source(python, folder / name) for name in ("base", "head"))
    return base, head


def comparisons(contest: Contest, sources: tuple[Source, Source], end: float) -> Iterator[dict[str, Any]]:
    """Comparisons of the same workers, that draw their roles anew for each."""
    cell = _cell(contest)
    role = (cell.implementation, cell.backend, cell.mode, cell.device, cell.dtype, 1)
    with contextlib.ExitStack() as stack:
        workers = []
        for pair, source in itertools.product(range(PAIRS), sources):
            placed = replace(source, environment=placement.environment(pair))
            workers.append(Worker(Role(*role, placed)))
            stack.callback(workers[-1].stop)
        pairs = pairs_of([build(worker, cell) for worker in workers])
        kinds = [0] * IDENTICAL + list(contest.exact)
        length = cache(lambda calls: units(pairs, contest.what, calls))
        until = min(end, time.monotonic() + PAIR_SECONDS)  # starting took its own time
        while time.monotonic() < until:
            percent = random.choice(kinds)
            duel = Duel(length(CALLS[percent]), CALLS[percent], percent / 100)
            yield compare(contest, pairs, duel, percent)
            pairs = [pair if random.randrange(2) else pair[::-1] for pair in random.sample(pairs, len(pairs))]


def compare(contest: Contest, pairs: Pairs, duel: Duel, percent: int) -> dict[str, Any]:
    """One comparison with `percent` more calls in head; what it said, and what others would have."""
    rule = Rule.of(contest.backend)
    fight(pairs, contest.what, duel, rule, seed=random.randrange(2**31))
    found = decided(duel, rule)
    low, high = found.found.interval(0.025)
    return {
        "contest": "-".join(contest[:4]),
        "what": contest.what,
        "percent": percent,
        "word": found.word,
        "by_whole": found.by_whole,
        "value": round(found.found.value, 6),
        "low": round(low, 6),
        "high": round(high, 6),
        "rounds": len(duel.base),
        "seconds": round(duel.seconds, 3),
        "rivals": other_rules.verdicts(duel.base_whole, duel.head_whole),
    }


def _cell(contest: Contest) -> Cell:
    return Cell(*contest[:4], "cpu", "float32", "small")


def _write(lines: Any, record: dict[str, Any]) -> None:
    lines.write(json.dumps(record) + "\n")
    lines.flush()


if __name__ == "__main__":
    sys.exit(main())
