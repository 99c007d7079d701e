"""A run as large as a full one: as many cells, timings, rounds, tensors, programs and gadgets, and as hard to pack."""

from __future__ import annotations

import ast
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal

from reports.evidence.companion_files import DATA, Agreements, Gate, proofs
from reports.evidence.gate_file import Compared, Counted
from reports.evidence.load import Evidence, gather, kept
from reports.testing import small_runs
from suites.records.gate import Side
from suites.records.run import (
    Agreement,
    Cell,
    Change,
    ColdStart,
    Comparison,
    Concept,
    Control,
    First,
    Flops,
    Function,
    Gadget,
    Latency,
    Operations,
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

IMPLS = Path(__file__).parents[2] / "impls"
WAYS = {
    ("raw_tf", "tensorflow", "graph"): 1.0,
    ("tf_keras", "tensorflow", "graph"): 1.9,
    ("tf_keras", "torch", "eager"): 4.5,
    ("tf_keras", "jax", "jit"): 1.4,
    ("shim", "numpy", "eager"): 1.1,
    ("shim", "tensorflow", "graph"): 0.6,
    ("shim", "torch", "eager"): 0.7,
    ("shim", "jax", "jit"): 0.3,
    ("raw_torch", "torch", "eager"): 0.8,
    ("torch_native", "torch", "eager"): 0.9,
    ("raw_jax", "jax", "jit"): 0.4,
}
EPOCHS = {"seed": 100, "mlp": 20, "cnn": 12, "rnn": 3}
LAYERS = {
    "seed": ("hidden", "logits"),
    "mlp": ("hidden1", "hidden2", "logits"),
    "cnn": ("conv1", "bn1", "relu1", "pool1", "conv2", "bn2", "flatten", "logits"),
    "rnn": ("embedding", "lstm", "logits"),
}
KINDS = {
    "forward": ("activation/{}", "inference/{}"),
    "backward": ("cotangent/{}", "gradient/{}/kernel", "gradient/{}/bias"),
    "trajectory": ("weight/{}/kernel", "weight/{}/bias"),
    "slot": ("slot/m/{}/kernel", "slot/m/{}/bias"),
}
CALLS: dict[tuple[Literal["train_step", "predict", "fit"], int, int], int] = {  # call, batch, threads: rounds
    ("train_step", 64, 1): 60,
    ("train_step", 64, 2): 20,
    ("predict", 64, 1): 60,
    ("predict", 1, 1): 60,
    ("fit", 64, 1): 60,
}
STAGES: tuple[Literal["equivalence", "training", "operations", "speed"], ...] = (
    "equivalence",
    "training",
    "operations",
    "speed",
)
VERSIONS = {"tensorflow": "2.21.0", "torch": "2.13.0+cpu", "jax": "0.10.2", "numpy": "2.4.6"}
FLAGS = ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS", "KMP_BLOCKTIME", "OMP_WAIT_POLICY", "TF_CPP_MIN_LOG_LEVEL")
HEADINGS = ("Model", "Loss", "Optimizer", "Training", "Prediction")
CAUSE = "rounding errors of every operation, propagated (Higham and Mary 2019; Laurent and Massart 2000)"


def full(seed: int = 0) -> Run:
    """The run; another `seed` gives another day's times."""
    run, rng = small_runs.empty(), random.Random(seed)
    run.id = f"20260201T{seed:06}-1"
    run.started = f"2026-02-01T{seed // 3600:02}:{seed // 60 % 60:02}:{seed % 60:02}+00:00"
    implementations = dict.fromkeys(way[0] for way in WAYS)
    run.titles = {name: f"Title of {name}" for name in (*LAYERS, *implementations, *VERSIONS)}
    for model in LAYERS:
        noise = {call: [rng.lognormvariate(0, 0.1) for _ in range(rounds)] for call, rounds in CALLS.items()}
        for way, ratio in WAYS.items():
            _compared(run, model, way, rng)
            _timed(run, Cell(model, *way, "cpu", "float32"), ratio, noise, rng)
            _costs(run, Cell(model, *way, "cpu", "float32"), ratio, rng)
        for what in ("control", "matmul"):
            run.controls.append(
                Control(model, what, "float32", 1, 4, [rng.uniform(0.027, 0.029) for _ in range(60)], 9e8)
            )
    run.services += _services(rng)
    run.programs += _programs(rng)
    run.concepts += [Concept(f"concept {at}", "what a reader of the program has to know") for at in range(34)]
    run.gadgets += _gadgets(rng)
    run.changes += [Change(m, "raw_tf", name, "torch", 50, 20, 40) for m in LAYERS for name in ("raw_torch", "shim")]
    return run


def evidence(runs: list[Run]) -> Evidence:
    """What `runs` say, with everything that can lie beside them."""
    beside = replace(proofs(DATA), gate=_gate(), agreement=_agreement())
    return replace(gather(runs, kept()), proofs=beside)


def _gate() -> Gate:
    """As many comparisons and counts as the gate takes."""
    cells = [Cell(model, *way, "cpu", "float32") for model in LAYERS for way in list(WAYS)[:6]]
    roles = ["gate"] * (len(cells) - 2) + ["twin", "canary"]
    compared = [
        Compared(cell, "train_step", role, "same", 1.001, 0.998, 1.003, 0.99, 1.01, 6.5, 120, 1e-3, 1e-3, "")
        for cell, role in zip(cells, roles, strict=True)
    ]
    names = ("operations, train_step", "retraces, predict", "logical lines", "imports")
    counts = []
    for at, (cell, name) in enumerate(itertools.product(cells, names)):
        after, word = (42, "warn") if at % 2 else (41, "ok")
        counts.append(Counted(cell, cell.model, cell.implementation, name, 41, after, None, "warn", word, ""))
    base, head = (Side(name, "0123abcd" * 5, False, "3.11.7", VERSIONS) for name in ("main", "working tree"))
    return Gate("clean", "2026-02-01T00:00:00+00:00", base, head, compared, {"margin": 0.03}, counts)


def _agreement() -> Agreements:
    kinds = {"one pass": (1, 1e-13), **dict.fromkeys(("sgd", "nesterov", "adam", "rmsprop", "adagrad"), (1000, 1e-12))}
    rows = []
    for way, model, (what, (steps, target)) in itertools.product(WAYS, LAYERS, kinds.items()):
        rows.append(Agreement(model, *way, what, steps, 3e-15, "weight/logits/kernel", target, ""))
    rows[7] = replace(rows[7], disagreement=2e-3, departs="another convention, documented by its authors")
    return Agreements(1000, {"one pass": 1e-13, "trajectory": 1e-12}, rows, [])


def _compared(run: Run, model: str, way: tuple[str, str, str], rng: random.Random) -> None:
    """Equivalence and training in both precisions."""
    reference = Cell(model, "shim", "numpy", "eager", "cpu", "float64")
    for dtype, unit in (("float32", 1e-8), ("float64", 1e-16)):
        cell = Cell(model, *way, "cpu", dtype)
        for phase, kinds in KINDS.items():
            for tensor in [kind.format(layer) for layer in LAYERS[model] for kind in kinds]:
                found = unit * rng.lognormvariate(1, 1)
                run.comparisons.append(Comparison(cell, reference, phase, tensor, found, 90 * found, CAUSE))
        losses = [2 * math.exp(-epoch / 30) * (1 + 1e-6 * rng.random()) for epoch in range(EPOCHS[model])]
        run.trainings.append(Training(cell, losses, "accuracy", 0.97, 0.9, rng.uniform(0.1, 5)))
        run.outcomes += [Outcome(cell, stage, "ok") for stage in STAGES]
        run.planned += [Planned(cell, stage) for stage in STAGES[:3]]


def _timed(run: Run, cell: Cell, ratio: float, noise: dict[Any, list[float]], rng: random.Random) -> None:
    """Every call, with the noise of its rounds, and latencies."""
    for what, batch, threads in CALLS:
        shared = noise[what, batch, threads]
        seconds = [1e-2 * ratio * factor * rng.lognormvariate(0, 0.03) for factor in shared]
        firsts = [rng.uniform(0.1, 0.5), *(rng.uniform(1e-4, 2e-4) for _ in range(20))]
        place = (cell, f"{cell.model}-{what}-{batch}-{threads}", what, 50, seconds, firsts[0], batch, threads)
        run.timings.append(Timing(*place, firsts, 5, 2.0, rng.uniform(0, 1e-3)))
    for batch in (1, 64):
        calls = [[rng.lognormvariate(-9, 0.2) for _ in range(50)] for _ in range(20)]
        run.latencies.append(Latency(cell, batch, 1, calls))


def _costs(run: Run, cell: Cell, ratio: float, rng: random.Random) -> None:
    """Cold starts, work, the law of cost, and operations."""
    first = First(rng.uniform(0.1, 1), rng.uniform(1e-3, 1e-2), {"trace": rng.random(), "compile": rng.random()})
    called = dict.fromkeys(("train_step", "predict"), first)
    memory = rng.randrange(10**8, 10**9)
    run.cold_starts.append(ColdStart(cell, 1, rng.uniform(1, 9), rng.random(), called, memory, 2 * memory))
    noise = [rng.lognormvariate(0, 0.05) for _ in range(24)]
    sweep = small_runs.sweep(cell, 1e-4 * ratio, 1e10 * rng.uniform(0.5, 2), noise)
    run.sweeps.append(
        Sweep(**{**vars(sweep), "seconds": [[s * rng.lognormvariate(0, 0.02) for s in p] for p in sweep.seconds]})
    )
    for what in ("train_step", "predict"):
        run.flops.append(Flops(cell, what, 64, 1e6 * ratio, 1.1e6 * ratio, "a counter of the engine"))
        counts = {f"Operation{at}": rng.randrange(1, 40) for at in range(15)}
        run.operations.append(Operations(cell, what, counts, sum(counts.values())))


def _services(rng: random.Random) -> Iterator[Service]:
    for way in WAYS:
        for dtype, threads in (("float32", 1), ("float32", 2), ("float64", 1)):
            flags = {**dict.fromkeys(FLAGS, "0"), "OMP_NUM_THREADS": str(threads), "KERAS_FLOATX": dtype}
            versions = {"numpy": VERSIONS["numpy"], way[1]: VERSIONS[way[1]]}
            memory = rng.randrange(10**8, 10**9)
            yield Service(*way, "cpu", dtype, rng.uniform(1, 9), memory, threads, "3.11.7", versions, flags)


def _programs(rng: random.Random) -> Iterator[Program]:
    """The programs of this checkout, their counts by rule of thumb."""
    for model in LAYERS:
        for path in sorted((IMPLS / model).glob("[a-z]*.py")):
            source = path.read_text(encoding="utf-8")
            lines = source.splitlines()
            concepts = {f"concept {at}": ["a name"] for at in rng.sample(range(34), 9)}
            functions = [
                Function(node.name, len(node.body), 60, 2, 1, 1)
                for node in ast.walk(ast.parse(source))
                if isinstance(node, ast.FunctionDef)
            ]
            sections = list(_sections(lines))
            place = f"impls/{model}/{path.name}"
            many = (len(lines) * 2 // 3, 9 * len(lines), sections, 9, 2, ["a.name"] * 14, functions, 4, concepts)
            yield Program(model, path.stem, place, source, *many)


def _sections(lines: list[str]) -> Iterator[Section]:
    starts = [(name, lines.index(f"# {name}") + 1) for name in HEADINGS if f"# {name}" in lines]
    ends = [start - 1 for _, start in starts[1:]] + [len(lines)]
    yield Section("imports", 3, 20, 1, starts[0][1] - 1)
    for (name, first), last in zip(starts, ends, strict=True):
        yield Section(name, last - first, 9 * (last - first), first, last)


def _base(path: Path) -> Path:
    """The program that a gadget's program changes: the transformer's where it is about a GPT."""
    transformer = IMPLS / "transformer" / path.name
    return transformer if path.parent.name == "text_generation" else path.parents[1] / "base" / path.name


def _gadgets(rng: random.Random) -> Iterator[Gadget]:
    """The gadgets of this checkout against their base programs."""
    for path in sorted(path for path in (IMPLS / "gadgets").glob("*/*.py") if path.parent.name != "base"):
        base = _base(path).read_text(encoding="utf-8").splitlines()
        source = path.read_text(encoding="utf-8")
        blocks = SequenceMatcher(None, base, source.splitlines(), autojunk=False).get_opcodes()
        told = len((ast.get_docstring(ast.parse(source)) or "").splitlines())  # the docstring is no part of a gadget
        apart = [at + 1 for kind, _, _, low, high in blocks if kind != "equal" for at in range(low, high)]
        changed = [at for at in apart if at > told]
        title = path.parent.name.replace("_", " ")
        place = f"impls/gadgets/{path.parent.name}/{path.name}"
        counts = (len(changed), 0, 1, 30, changed, "losses, weights and what it is for", rng.random() * 1e-15, True)
        yield Gadget(path.parent.name, title, path.stem, "tensorflow", place, source, *counts)
