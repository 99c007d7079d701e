"""A run with one of everything that can go right or wrong, for the tests of the reports."""

from __future__ import annotations

import math
import random

from suites.records.run import (
    Cell,
    ColdStart,
    Comparison,
    Control,
    Environment,
    First,
    Flops,
    Function,
    Latency,
    Outcome,
    Planned,
    Program,
    Run,
    Section,
    Service,
    Sweep,
    Timing,
    Training,
)

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"`{{7*7}}"
MODELS = ("seed", "mlp")
WAYS = (
    ("raw_tf", "tensorflow", "graph", 1.0),
    ("tf_keras", "tensorflow", "graph", 2.0),
    ("tf_keras", "torch", "eager", 3.0),
    ("shim", "tensorflow", "graph", 1.01),
    ("shim", "torch", "eager", 0.5),
)
PHASES = {
    "forward": "activation/logits",
    "loss": "loss",
    "backward": "gradient/logits/kernel",
    "trajectory": "weight/logits/kernel",
    "state": "weight/bn1/moving_mean",
    "slot": "slot/v/logits/kernel",
}
CALLS = ("train_step", "predict")
COLD = First(0.5, 1e-3, {"trace": 0.2, "compile": 0.1})
SOURCE = '''"""A program."""

import numpy as np

# Model
def build(size=4):
    return np.zeros(size)  # <b>no mark-up</b> & "no" surprise


# Training
def train(model, x):
    return [float(model.sum())]
'''


def cell(model: str = "mlp", way: tuple[str, str, str, float] = WAYS[0], dtype: str = "float64") -> Cell:
    return Cell(model, *way[:3], device="cpu", dtype=dtype)


def empty() -> Run:
    """A run that ended and recorded nothing."""
    environment = Environment("A CPU", 2, 16 * 10**9, "Linux", "3.11.7", {"numpy": "2.4.6"}, "0123abcd", True)
    return Run("20260101T000000-1", "2026-01-01T00:00:00+00:00", {"quick": "True"}, environment, finished="later")


def good() -> Run:
    """A run in which everything went well."""
    run = empty()
    run.titles = {name: f"Title of {name}" for name in (*MODELS, "raw_tf", "tf_keras", "shim", "tensorflow", "torch")}
    rng = random.Random(0)
    for model in MODELS:
        noise = [rng.lognormvariate(0, 0.3) for _ in range(20)]
        for way in WAYS:
            _measured(run, model, way, noise, rng)
        run.programs += [_program(model, name) for name in ("raw_tf", "tf_keras", "shim")]
        run.controls += [Control(model, what, "float32", 1, 1, [1e-2] * 5, 1e9) for what in ("control", "matmul")]
    for implementation, backend, mode, _ in WAYS:
        worker = (implementation, backend, mode, "cpu", "float64")
        run.services.append(Service(*worker, 2.5, 5 * 10**8, 1, "3.11.7", {"numpy": "2"}, {"OMP_NUM_THREADS": "1"}))
    return run


def bad() -> Run:
    """The good run with every defect planted: failed, skipped, NaN, missing, too far, too inaccurate, hostile."""
    run = good()
    torch = cell("mlp", WAYS[4])
    run.comparisons += [
        Comparison(torch, cell(), "backward", "gradient/hidden/bias", math.nan, 1e-12),
        Comparison(torch, cell(), "slot", "slot/m/hidden/bias", math.inf, 1e-12),
        Comparison(cell("mlp", WAYS[1]), cell(), "slot", "slot/m/a", 3e-9, 1e-8, "a float32 constant", True),
        Comparison(cell("seed", WAYS[1]), cell(), "slot", "slot/m/b", 3e-3, None, "another convention", True),
        Comparison(cell("seed", WAYS[1]), cell(), "slot", "=1+1", 3e-3, None, "a spreadsheet would compute this", True),
    ]
    gone = Cell("mlp", "shim", "jax", "jit", "cpu", "float64")
    run.outcomes.append(Outcome(gone, "start", "skipped", "jax is not installed"))
    hostile = Cell(HOSTILE, HOSTILE, HOSTILE, HOSTILE, "cpu", "float64")
    run.outcomes.append(Outcome(hostile, "equivalence", "failed", f"worker was killed by signal 9 {HOSTILE}"))
    run.comparisons.append(Comparison(hostile, hostile, HOSTILE, HOSTILE, 1e-3, 1e-12, HOSTILE))
    run.trainings.append(Training(hostile, [math.nan, 1.0], "cross_entropy", math.nan, 2.2, 1.0))
    run.trainings.append(Training(cell("mlp", WAYS[1]), [2.0, 1.5], "accuracy", 0.5, 0.96, 1.0))
    run.timings.append(Timing(hostile, HOSTILE, "fit", 1, [1.0, 2.0], 3.0, 1, 1))
    run.timings.append(Timing(hostile, HOSTILE, "predict", 1, [], 3.0, 1, 1))
    run.programs.append(_program(HOSTILE, HOSTILE, SOURCE + f"# {HOSTILE}\n"))
    run.planned.append(Planned(cell("cnn"), "speed"))
    run.titles[HOSTILE] = HOSTILE
    run.options[HOSTILE] = HOSTILE
    return run


RUNS = {"good": good, "bad": bad, "empty": empty}


def _measured(run: Run, model: str, way: tuple[str, str, str, float], noise: list[float], rng: random.Random) -> None:
    """One cell with every stage: its times share the noise of the rounds, so that only paired ratios are tight."""
    double, single = cell(model, way), cell(model, way, "float32")
    for phase, tensor in PHASES.items():
        run.comparisons.append(
            Comparison(double, cell(model), phase, tensor, 10 ** rng.uniform(-16, -14), 1e-12, "rounding")
        )
    losses = [2.0 * math.exp(-epoch / 3) * (1 + 1e-13 * rng.random()) for epoch in range(8)]
    run.trainings.append(Training(double, losses, "accuracy", 0.97, 0.96, 3.2))
    for what in ("train_step", "predict"):
        seconds = [1e-3 * way[3] * shared * rng.lognormvariate(0, 0.01) for shared in noise]
        run.timings.append(Timing(single, model, what, 1, seconds, 0.5, 64, 1))
    run.timings.append(Timing(single, f"{model} all", "train_step", 1, [1e-3] * 5, 0.5, 64, 2, [0.5] + [1e-3] * 9, 1))
    run.latencies += [Latency(single, batch, 1, [[1e-4 * shared] * 50 for shared in noise]) for batch in (1, 64)]
    run.flops.append(Flops(single, "train_step", 64, 1e6, 1.1e6, "a counter"))
    run.cold_starts.append(ColdStart(single, 1, 2.5, 0.1, dict.fromkeys(CALLS, COLD), 10**8, 2 * 10**8))
    run.sweeps.append(sweep(single, 1e-4 * way[3], 1e10, [shared**0.1 for shared in noise]))
    run.outcomes += [Outcome(double, "equivalence", "ok"), Outcome(double, "training", "ok")]
    run.outcomes.append(Outcome(single, "speed", "ok"))


def sweep(cell: Cell, overhead: float, throughput: float, noise: list[float], update: float = 1e-9) -> Sweep:
    """A sweep that obeys the law of cost but for `noise`, a factor a round."""
    points = ((1, 1e5, 10**4), (8, 8e5, 10**4), (64, 6.4e6, 10**4), (512, 5.12e7, 10**4), (64, 1e8, 10**5))
    batches, parameters = [point[0] for point in points], [point[2] for point in points]
    exact = [overhead + work / throughput + update * size for _, work, size in points]
    seconds = [[time * factor for factor in noise] for time in exact]
    sizes = ["units 8"] * 4 + ["units 32"]
    flops = [point[1] for point in points]
    return Sweep(cell, cell.model, "train_step", 1, sizes, batches, flops, parameters, seconds)


def _program(model: str, implementation: str, source: str = SOURCE) -> Program:
    lines = 20 if implementation == "raw_tf" else 8
    counts = (
        ("imports", 1, 4, 3, 4),
        ("Model", lines - 5, 90, 5, 9),
        ("Training", 4, 10, 10, len(source.splitlines())),
    )
    sections = [Section(*count) for count in counts]
    function = Function("build", 2, 20, 1, 0)
    path = f"impls/{model}/{implementation}.py"
    return Program(model, implementation, path, source, lines, 104, sections, 2, 0, ["numpy.zeros"], [function])
