"""Gadgets: a small comfort as the smallest change to the base program, counted, and proven to behave the same.

`impls/gadgets/<gadget>/<implementation>.py` is a whole program; what it costs is its difference to
`impls/gadgets/base/<implementation>.py` (of text generation, to the transformer's program), both laid out by
`ast.unparse`, without docstrings and without the `if __name__ == "__main__":` part. A proof runs a gadget's scenario on
a worker of each implementation, in float64, from the same weights and data, and compares everything that can be
observed: histories, printed numbers, weights.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from typing import Any

from impls import IMPLEMENTATIONS, MODELS
from impls.layer_kinds import dense
from impls.model_differences import BUDGET, explanation
from impls.specs import Layer, mlp_layers
from suites.code import counts, scenarios, syntax
from suites.code.scenarios import CLASSES, FEATURES, NARROW, SIZES, WIDE, Subject
from suites.equivalence.compare import AGREEMENT, normwise
from suites.records import run as records
from suites.runner.workers import Arrays, Pool, Source, Worker

# The backend on which each implementation shows its gadgets; the first one is what the others are compared with.
SHOWN = {"raw_tf": "tensorflow", "tf_keras": "tensorflow", "shim": "torch", "raw_torch": "torch"}
NO_VARIABLES: Mapping[str, str] = {}
BASE = "base"
MAIN = "if __name__ == "
BFLOAT16 = 2.0**-8  # its unit roundoff
DIGITS = 4  # of the numbers that a progress bar prints, so that two of them may be a unit of the last digit apart

Scenario = Callable[[Subject], Arrays]
BRANCHES = (
    dense("hidden1", FEATURES, WIDE),
    dense("left", WIDE, NARROW),
    dense("right", WIDE, NARROW),
    dense("logits", 2 * NARROW, CLASSES),
)
PLAIN = mlp_layers(**SIZES)
GATED = (PLAIN[0], dense("gate", WIDE, WIDE), *PLAIN[1:])
WEIGHTS = "losses, weights"


@dataclass(frozen=True)
class Gadget:
    """A comfort: its title, what is observed of it, how it is proven, and the layers of its model."""

    title: str
    observed: str = WEIGHTS
    scenario: Scenario = Subject.train
    layers: tuple[Layer, ...] = PLAIN
    base: str = f"gadgets/{BASE}"  # the program that it changes, below impls/
    sizes: Mapping[str, Any] = field(default_factory=lambda: SIZES)
    missing: Mapping[str, str] = field(default_factory=dict)  # implementation: why it has no such program
    elsewhere: Mapping[str, str] = field(default_factory=dict)  # implementation: the backend that it is shown on

    def backend(self, implementation: str) -> str:
        """The backend on which an implementation shows it."""
        return self.elsewhere.get(implementation, SHOWN[implementation])


GADGETS = {
    "early_stopping": Gadget(
        "Early stopping with best weights", "losses, stopping epoch, restored weights", scenarios.early_stopping
    ),
    "checkpoint_resume": Gadget(
        "Checkpoint and resume after kill -9", "losses after the kill, weights", scenarios.checkpoint_resume
    ),
    "learning_rate_schedule": Gadget("Learning-rate schedule", "losses, rate of each epoch, weights"),
    "progress_bar": Gadget("Progress bar with metrics", "the numbers printed, losses, weights", scenarios.progress_bar),
    "validation_split": Gadget("Validation split", "losses, validation losses, weights", scenarios.validation_split),
    "class_weights": Gadget("Class weights", WEIGHTS, scenarios.class_weights),
    "sample_weights": Gadget("Sample weights", WEIGHTS, scenarios.sample_weights),
    "data_generator": Gadget("Data larger than memory", WEIGHTS, scenarios.data_generator),
    "image_augmentation": Gadget("Image augmentation"),
    "custom_metric": Gadget("Custom metric", "losses, the metric of each epoch, weights"),
    "csv_log": Gadget("Log in a CSV file", "the file's columns, weights", scenarios.csv_log),
    "summary": Gadget("Model summary", "width and parameters of each layer, total", scenarios.summary),
    "save_load": Gadget(
        "Save and load the whole model",
        "predictions in another process, losses that go on, weights",
        scenarios.save_load,
    ),
    "gradient_clipping": Gadget("Gradient clipping"),
    "transfer_learning": Gadget(
        "Transfer learning",
        "frozen weights bit for bit, losses and weights of both trainings",
        scenarios.transfer_learning,
    ),
    "branching": Gadget("Branching model", layers=BRANCHES),
    "custom_layer": Gadget("Custom layer", layers=GATED),
    "custom_training_step": Gadget("Custom training step"),
    "export": Gadget("Export for serving", "predictions served by another process", scenarios.export),
    "mixed_precision": Gadget(
        "Mixed precision",
        "predictions within bfloat16's rounding, float32 weights after a training",
        scenarios.mixed_precision,
    ),
    "data_parallel": Gadget(
        "Data-parallel training",
        "losses and weights of two processes, which are those of one",
        scenarios.data_parallel,
        elsewhere={"tf_keras": "jax"},
    ),
    "hyperparameter_search": Gadget(
        "Hyper-parameter search", "score of each candidate, the best one", scenarios.hyperparameter_search
    ),
    "text_generation": Gadget(
        "Text generation with a key-value cache",
        "text and logits, which are those without a cache; it changes the transformer's program",
        scenarios.text_generation,
        layers=MODELS["transformer"].layers(**scenarios.WRITER),
        base="transformer",
        sizes=scenarios.WRITER,
    ),
}


@dataclass(frozen=True)
class Difference:
    """What changes from one program to another: logical layout, so that line breaks cannot win."""

    added: int
    removed: int
    changed: int
    tokens: int


def laid_out(source: str, path: str) -> list[str]:
    """The lines of a program after `ast.unparse`, without docstrings and without the main part."""
    tree = syntax.parse(source, path)
    tree.body = [node for node in tree.body if not ast.unparse(node).startswith(MAIN)]
    return [line for line in ast.unparse(tree).splitlines() if line.strip()]


def difference(base: str, source: str, path: str = "program") -> Difference:
    """Lines added, removed and changed (a line that replaces another), and tokens more than the base has."""
    before, after = laid_out(base, path), laid_out(source, path)
    added = removed = changed = 0
    for what, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if what != "equal":
            both = min(b - a, d - c)
            added, removed, changed = added + d - c - both, removed + b - a - both, changed + both
    more = counts.tokens(ast.parse("\n".join(after))) - counts.tokens(ast.parse("\n".join(before)))
    return Difference(added, removed, changed, more)


def changed_lines(base: str, source: str) -> list[int]:
    """Numbers, from 1, of the lines of `source` that the base does not have; neither docstring nor main part."""
    body = ast.parse(source).body
    first = (body[0].end_lineno or 0) + 1 if ast.get_docstring(ast.parse(source)) is not None else 1
    last = next((node.lineno - 1 for node in body if ast.unparse(node).startswith(MAIN)), len(source.splitlines()))
    matcher = SequenceMatcher(None, base.splitlines(), source.splitlines(), autojunk=False)
    kept = {at for block in matcher.get_matching_blocks() for at in range(block.b, block.b + block.size)}
    lines = list(enumerate(source.splitlines(), 1))[first - 1 : last]
    return [at for at, line in lines if at - 1 not in kept and line.strip()]


def worker(implementation: str, pool: Pool, backend: str, environment: Mapping[str, str] = NO_VARIABLES) -> Worker:
    """A worker that shows an implementation's gadgets, in float64."""
    mode = IMPLEMENTATIONS[implementation].backends[backend][0]
    return pool.worker(implementation, backend, mode, source=Source(environment=environment))


def observe(gadget: str, implementation: str, pool: Pool, backend: str = "", processes: bool = True) -> Arrays:
    """What the scenario of `gadget` sees of an implementation, in one process where no `processes` are to be started.

    Raises WorkerFailed.
    """
    entry = GADGETS[gadget]
    start = partial(worker, implementation, pool, backend or entry.backend(implementation))
    with tempfile.TemporaryDirectory(prefix="triptych-gadget-") as folder:
        return entry.scenario(Subject(gadget, entry.layers, start, Path(folder), entry.sizes, processes))


def agreement(gadget: str, implementation: str) -> float:
    """How far it may be from the others in float64: more where its library is known to round the model it changes."""
    entry = GADGETS[gadget]
    known = explanation(implementation, entry.backend(implementation), entry.base, "forward")
    return AGREEMENT if known is None or known.bound is None else known.bound


def bound(name: str, exact: float = AGREEMENT) -> float:
    """How far two observations called `name` may be apart, normwise; `exact` for what nothing rounds."""
    if name.startswith("bfloat16"):
        return BUDGET * BFLOAT16 * len(PLAIN)  # as relative_error_bound has it for float32 layers
    return 10.0 ** (1 - DIGITS) if name.startswith("printed") else exact


def disagreement(found: Arrays, truth: Arrays, exact: float = AGREEMENT) -> tuple[float, str]:
    """The largest normwise disagreement of what is compared to `exact`, and a reason where anything is not equal."""
    if lonely := sorted(found.keys() ^ truth.keys()):
        return float("inf"), f"only one of them shows {', '.join(lonely)}"
    distances = {name: normwise(found[name], truth[name]) for name in truth}
    wrong = [f"{name} differs by {d:.2g}" for name, d in distances.items() if not d <= bound(name, exact)]
    return max(d for name, d in distances.items() if wrong or bound(name, exact) == exact), ", ".join(wrong)


def record(
    gadget: str, implementation: str, proof: tuple[float, str] | str | None, root: Path = counts.ROOT
) -> records.Gadget:
    """The counts and the text of a gadget's program, and how it behaved: `proof`; a text: why it was not run."""
    entry = GADGETS[gadget]
    base = counts.program(entry.base, implementation, root)
    own = counts.program(f"gadgets/{gadget}", implementation, root)
    change = difference(base.source, own.source, own.path)
    distance, reason = proof if isinstance(proof, tuple) else (None, proof or "left out of a quick run")
    return records.Gadget(
        name=gadget,
        title=entry.title,
        implementation=implementation,
        backend=entry.backend(implementation),
        path=own.path,
        source=own.source,
        added=change.added,
        removed=change.removed,
        changed=change.changed,
        tokens=change.tokens,
        changed_lines=changed_lines(base.source, own.source),
        observed=entry.observed,
        disagreement=distance,
        equal=None if distance is None else not reason,
        reason=reason,
    )
