"""What two revisions can be compared in without a clock: counts that repeat exactly, and tensors.

- operations and FLOPs of a step and a prediction as the engine counts them, and traces of later calls;
- memory that Python and NumPy take during a call, at its peak, in bytes;
- logical lines of the program, and the modules that it imports;
- every tensor of one batch in float64, against the oracle and its derived bounds.
"""

from __future__ import annotations

import ast
import contextlib
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from suites.code import counts
from suites.equivalence.compare import exceeding
from suites.equivalence.judge import judge
from suites.records.gate import Count, Difference, SideName
from suites.records.run import Cell
from suites.runner import machine, plan
from suites.runner.stages import BOUNDS, STAGES, first_batch, opened
from suites.runner.workers import Arrays, Role, Worker, WorkerRaised

VERSIONS = """
import json, platform, sys
from importlib import metadata
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
Counts = dict[str, int]


def versions(python: str) -> dict[str, str]:
    """The versions of Python and of the packages that matter, as the interpreter `python` has them."""
    command = [python, "-c", VERSIONS, *machine.PACKAGES]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    result: dict[str, str] = json.loads(found.stdout)
    return result


def program_counts(cell: Cell, base: Path, head: Path) -> list[Count]:
    """Logical lines of the program and the modules that it imports, in both trees."""
    lines = [counts.program(cell.model, cell.implementation, root).logical_lines for root in (base, head)]
    before, after = (imports(root / "impls" / cell.model / f"{cell.implementation}.py") for root in (base, head))
    words = [f"+{name}" for name in sorted(after - before)] + [f"-{name}" for name in sorted(before - after)]
    return [
        Count(cell, "logical lines", lines[0], lines[1]),
        Count(cell, "imports", len(before), len(after), " ".join(words)),
    ]


def imports(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def engine_counts(worker: Worker, cell: Cell) -> Counts:
    """What the engine counts of a step and of a prediction; what a revision can't count is left out."""
    found: Counts = {}
    with contextlib.suppress(WorkerRaised):
        tallies = STAGES["operations"](worker, cell)
        found |= {name: int(value) for name, value in tallies.items() if name.count("/") == 1}
    x, y = first_batch(cell)
    for what in ("train_step", "predict"):
        model = opened(worker, cell)
        with contextlib.suppress(WorkerRaised):
            flops = model.flops(what, x, y)["flops"]
            found |= {} if flops is None else {f"{what}/flops": int(flops)}
        with contextlib.suppress(WorkerRaised):
            model.prepare(x, y, len(x))
            found[f"{what}/allocated"] = model.allocated(what)
    return found


TITLES = {"total": "operations", "retraces": "retraces", "flops": "FLOPs", "allocated": "bytes allocated"}


def paired(cell: Cell, base: Counts, head: Counts) -> list[Count]:
    """One row for each number that either side has: `operations, train_step`."""
    names = {name: name.partition("/")[::2] for name in dict.fromkeys([*base, *head])}
    return [
        Count(cell, f"{TITLES[kind]}, {what}", base.get(name), head.get(name)) for name, (what, kind) in names.items()
    ]


def differences(worker: Worker, cell: Cell, name: SideName) -> list[Difference]:
    """The tensors of one batch in float64 that depart from the oracle by more than rounding allows."""
    wide = Cell(cell.model, cell.implementation, cell.backend, cell.mode, cell.device, "float64", cell.size)
    truth, products = oracle(plan.oracle(wide))
    rows = judge(wide, "gradients", STAGES["gradients"](worker, wide), truth, products)
    return [
        Difference(wide, name, row.phase, row.tensor, row.disagreement, row.bound or 0.0) for row in exceeding(rows)
    ]


@cache
def oracle(cell: Cell) -> tuple[Arrays, dict[str, Any]]:
    """What this tree's oracle computes of the first batch, and the spread of its rounding errors."""
    worker = Worker(Role(cell.implementation, cell.backend, cell.mode, cell.device, cell.dtype))
    try:
        return STAGES["gradients"](worker, cell), STAGES[BOUNDS["gradients"]](worker, cell)
    finally:
        worker.stop()
