"""Gadgets: a small comfort as the smallest change to the base program, counted, and proven to behave the same.

`impls/gadgets/<gadget>/<implementation>.py` is a whole program; what it costs is its difference to
`impls/gadgets/base/<implementation>.py`, both laid out by `ast.unparse`, without docstrings and without the
`if __name__ == "__main__":` part. A proof runs a gadget's scenario on a worker of each implementation, in float64, from
the same weights and data, and compares everything that can be observed: histories, printed numbers, weights.
"""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np

from impls.datasets import DATASETS
from impls.specs import Layer, dense, mlp_layers
from impls.weights import canonical
from suites import records
from suites.code import counts
from suites.equivalence.compare import AGREEMENT, normwise
from suites.workers import Arrays, Pool, Worker, WorkerFailed

IMPLEMENTATIONS = {"raw_tf": "tensorflow", "tf_keras": "tensorflow", "shim": "torch", "raw_torch": "torch"}
REFERENCE = "raw_tf"
SIZES = {"features": 64, "hidden": (32, 16), "classes": 10}
EXAMPLES, HELD_OUT, EPOCHS, BATCH = 200, 100, 4, 32
TRAINED = {"epochs": EPOCHS, "batch_size": BATCH}
BASE = "base"


class Subject:
    """One gadget's program on a worker, in the hands of a scenario."""

    def __init__(self, gadget: str, start: Callable[[], Worker], folder: Path) -> None:
        self.gadget, self.start, self.folder = gadget, start, folder
        self.worker = start()
        self.texts: dict[str, str] = {}
        self.printed = ""

    def open(self) -> None:
        """A new model with the canonical weights."""
        weights = canonical(GADGETS[self.gadget].layers)
        self.worker.call("gadget_open", weights, gadget=self.gadget, sizes=SIZES)

    def call(
        self, function: str, *given: np.ndarray, model: bool = True, makes: bool = False, **arguments: Any
    ) -> Arrays:
        """What the program's `function` returned; what it printed and its texts are kept."""
        arrays = {str(at): value for at, value in enumerate(given)}
        body, found = self.worker.call(
            "gadget_call", arrays, function=function, model=model, makes=makes, arguments=arguments
        )
        self.texts, self.printed = body["texts"], body["printed"]
        return found

    def weights(self, prefix: str = "weight") -> Arrays:
        _, found = self.worker.call("gadget_weights")
        return {f"{prefix}/{name}": value for name, value in found.items()}

    def train(self, *more: np.ndarray, **arguments: Any) -> Arrays:
        """Open, train on the data and what comes with them; the history and the weights."""
        self.open()
        x, y, *_ = data()
        history = self.call("train", x, y, *more, **{**TRAINED, **arguments})
        return {**history, **self.weights()}


Scenario = Callable[[Subject], Arrays]


@dataclass(frozen=True)
class Gadget:
    """A comfort: what it is called, what is observed of it, the layers of its model, and how it is proven."""

    title: str
    observed: str
    scenario: Scenario
    layers: tuple[Layer, ...] = mlp_layers(**SIZES)  # type: ignore[arg-type]


def data() -> tuple[np.ndarray, ...]:
    """Some of the digits: x, y, and held-out x, y."""
    split = DATASETS["digits"]()
    return split.x[:EXAMPLES], split.y[:EXAMPLES], split.x_test[:HELD_OUT], split.y_test[:HELD_OUT]


def noisy(y: np.ndarray) -> np.ndarray:
    """Labels of which a third are wrong, so that a model soon gets worse on other data."""
    rng = np.random.default_rng(0)
    return np.where(rng.random(len(y)) < 1 / 3, rng.integers(0, 10, len(y)), y)


def early_stopping(subject: Subject) -> Arrays:
    subject.open()
    x, y, x_val, y_val = data()
    history = subject.call("train", x, noisy(y), x_val, y_val, epochs=40, batch_size=BATCH)
    stopped = len(history["result/val_loss"])
    assert stopped < 40, "the training was to stop before its last epoch"
    return {"stopped after": np.array(stopped), **history, **subject.weights()}


def class_weights(subject: Subject) -> Arrays:
    return subject.train(np.linspace(0.5, 2.75, 10))


ROW = re.compile(r"(?P<name>hidden1|hidden2|logits)\b.*?\(None, (?P<width>\d+)\)[^\d]*(?P<count>[\d,]+)")


def summary(subject: Subject) -> Arrays:
    """Width and number of parameters of each layer, and the total, as printed."""
    subject.open()
    subject.call("summary")
    text = subject.printed.replace("(32,)", "(None, 32)").replace("(16,)", "(None, 16)").replace("(10,)", "(None, 10)")
    rows = {row["name"]: np.array([int(row["width"]), number(row["count"])]) for row in ROW.finditer(text)}
    total = re.search(r"total param\w*: ([\d,]+)|([\d,]+) parameters", text, re.I)
    assert total, f"no total in {text!r}"
    return {**rows, "total": np.array(number(total[1] or total[2]))}


def number(text: str) -> int:
    return int(text.replace(",", ""))


GADGETS = {
    "early_stopping": Gadget(
        "Early stopping with best weights", "losses, stopping epoch, restored weights", early_stopping
    ),
    "validation_split": Gadget("Validation split", "losses and validation losses, weights", Subject.train),
    "class_weights": Gadget("Class weights", "losses, weights", class_weights),
    "custom_metric": Gadget("Custom metric", "losses, the metric of each epoch, weights", Subject.train),
    "gradient_clipping": Gadget("Gradient clipping", "losses, weights", Subject.train),
    "summary": Gadget("Model summary", "width and parameters of each layer, total", summary),
}


@dataclass(frozen=True)
class Difference:
    """What changes from one program to another: logical layout, so that line breaks cannot win."""

    added: int
    removed: int
    changed: int
    tokens: int


def laid_out(source: str, path: str) -> list[str]:
    """The lines of a program after `ast.unparse`, without docstrings, imports' order aside and the main part."""
    tree = counts.parse(source, path)
    tree.body = [node for node in tree.body if not ast.unparse(node).startswith("if __name__")]
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
    """Numbers, from 1, of the lines of `source` that the base does not have."""
    matcher = SequenceMatcher(None, base.splitlines(), source.splitlines(), autojunk=False)
    kept = {at for block in matcher.get_matching_blocks() for at in range(block.b, block.b + block.size)}
    return [at + 1 for at, line in enumerate(source.splitlines()) if at not in kept and line.strip()]


def text_of(gadget: str, implementation: str, root: Path = counts.ROOT) -> str:
    """The source of a gadget's program. Raises counts.ProgramError where it is missing."""
    return counts.program(f"gadgets/{gadget}", implementation, root).source


def observe(gadget: str, implementation: str, pool: Pool, backend: str = "") -> Arrays:
    """What the scenario of `gadget` sees of an implementation. Raises WorkerFailed."""
    backend = backend or IMPLEMENTATIONS[implementation]
    mode = {"tensorflow": "graph"}.get(backend, "eager")
    with tempfile.TemporaryDirectory(prefix="triptych-gadget-") as folder:
        subject = Subject(gadget, lambda: pool.worker(implementation, backend, mode), Path(folder))
        return GADGETS[gadget].scenario(subject)


def disagreement(found: Arrays, truth: Arrays) -> tuple[float, str]:
    """The largest normwise disagreement and what shows it; infinite where one side lacks something."""
    if missing := sorted(found.keys() ^ truth.keys()):
        return float("inf"), f"only one of them shows {', '.join(missing)}"
    worst = max(truth, key=lambda name: normwise(found[name], truth[name]))
    return normwise(found[worst], truth[worst]), worst
