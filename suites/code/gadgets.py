"""Gadgets: a small comfort as the smallest change to the base program, counted, and proven to behave the same.

`impls/gadgets/<gadget>/<implementation>.py` is a whole program; what it costs is its difference to
`impls/gadgets/base/<implementation>.py`, both laid out by `ast.unparse`, without docstrings and without the
`if __name__ == "__main__":` part. A proof runs a gadget's scenario on a worker of each implementation, in float64, from
the same weights and data, and compares everything that can be observed: histories, printed numbers, weights.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np

from impls.datasets import DATASETS
from impls.specs import Layer, dense, mlp_layers
from impls.weights import canonical
from suites.code import counts
from suites.equivalence.compare import normwise
from suites.workers import Arrays, Pool, Worker, WorkerDied

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
TOTAL = re.compile(r"total param\w*: ([\d,]+)|([\d,]+) parameters", re.I)


def summary(subject: Subject) -> Arrays:
    """Width and number of parameters of each layer, and the total, as printed."""
    subject.open()
    subject.call("summary")
    text = re.sub(r"\((\d+),\)", r"(None, \1)", subject.printed)
    rows = {row["name"]: np.array([int(row["width"]), number(row["count"])]) for row in ROW.finditer(text)}
    total = TOTAL.search(text)
    assert total, f"no total in {text!r}"
    return {**rows, "total": np.array(number(total[1] or total[2]))}


def number(text: str) -> int:
    return int(text.replace(",", ""))


PRINTED = re.compile(r"(?:Epoch |\] )(?P<epoch>\d+)/\d+|(?P<name>loss|accuracy):? (?P<value>\d+\.?\d*(?:e-\d+)?)")


def progress_bar(subject: Subject) -> Arrays:
    """The numbers that stand there at the end of each epoch."""
    found = subject.train()
    last: dict[str, dict[int, float]] = {"loss": {}, "accuracy": {}}
    epoch = 0
    for match in PRINTED.finditer(re.sub(r"\x1b\[[\d;]*m", "", subject.printed)):
        if match["epoch"]:
            epoch = int(match["epoch"])
        else:
            last[match["name"]][epoch] = float(match["value"])
    return {**found, **{f"printed {name}": np.array([*values.values()]) for name, values in last.items()}}


def data_generator(subject: Subject) -> Arrays:
    subject.open()
    x, y, *_ = data()
    for name, array in (("x", x.astype(np.float64)), ("y", y)):
        np.save(subject.folder / f"{name}.npy", array)
    return {**subject.call("train", folder=str(subject.folder), **TRAINED), **subject.weights()}


LAST_WRITTEN = {
    "raw_tf": "checkpoint",
    "tf_keras": "training_metadata.json",
    "shim": "model.npz",
    "raw_torch": "model.pt",
}
LONG = {"epochs": 25, "batch_size": BATCH}


def checkpoint_resume(subject: Subject) -> Arrays:
    """The losses, those after the kill from the training that was resumed, and the weights at the end."""
    x, y, *_ = data()
    subject.open()
    whole = subject.call("train", x, y, folder=str(emptied(subject.folder / "whole")), **LONG)
    folder = emptied(subject.folder / "killed")
    subject.open()
    killed = threading.Thread(
        target=kill_after, args=(subject.worker, folder / LAST_WRITTEN[subject.worker.implementation])
    )
    killed.start()
    with suppress(WorkerDied):
        subject.call("train", x, y, folder=str(folder), **LONG)
    killed.join()
    subject.worker = subject.start()
    subject.open()
    resumed = subject.call("train", x, y, folder=str(folder), **LONG)["result"]
    assert 0 < len(resumed) < LONG["epochs"], f"{len(resumed)} epochs were left after the kill"
    losses = np.concatenate([whole["result"][: -len(resumed)], resumed])
    return {"uninterrupted": whole["result"], "resumed": losses, **subject.weights()}


def emptied(folder: Path) -> Path:
    folder.mkdir()
    return folder


def kill_after(worker: Worker, path: Path, times: int = 3) -> None:
    """kill -9 as soon as `path` has been written so many times."""
    seen: set[int] = set()
    while len(seen) < times and worker.alive:
        with suppress(FileNotFoundError):
            seen.add(path.stat().st_mtime_ns)
        time.sleep(0.0005)
    os.kill(worker.pid, signal.SIGKILL)


def save_load(subject: Subject) -> Arrays:
    """Predictions of the saved model and, in another process, of the loaded one; and a training that goes on."""
    x, y, x_test, _ = data()
    found = subject.train()
    before, path = subject.call("predict", x_test)["result"], str(subject.folder / "model")
    subject.call("save", path=path)
    subject.worker.stop()
    subject.worker = subject.start()
    subject.open()
    subject.call("load", path=path, model=False, makes=True)
    after = subject.call("predict", x_test)["result"]
    assert np.array_equal(before, after), "the loaded model predicts something else"
    more = subject.call("train", x, y, **TRAINED)["result"]
    return {**found, "predictions": before, "loaded": after, "more": more, **subject.weights("later")}


def transfer_learning(subject: Subject) -> Arrays:
    """Both trainings; the frozen weights are bit for bit what they were."""
    subject.open()
    x, y, *_ = data()
    start = subject.weights()
    head = subject.call("train_head", x, y, **TRAINED)["result"]
    middle = subject.weights("head")
    for name in start:
        same = np.array_equal(start[name], middle["head" + name.removeprefix("weight")])
        assert same is not name.startswith("weight/logits"), f"{name} {'did not move' if same else 'moved'}"
    whole = subject.call("train", x, y, **TRAINED)["result"]
    return {"head": head, "whole": whole, **middle, **subject.weights()}


def hyperparameter_search(subject: Subject) -> Arrays:
    subject.open()
    x, y, *_ = data()
    return subject.call("search", x, y, model=False, **TRAINED)


WIDE, NARROW = SIZES["hidden"]  # type: ignore[misc]
BRANCHES = (
    dense("hidden1", 64, WIDE),
    dense("left", WIDE, NARROW),
    dense("right", WIDE, NARROW),
    dense("logits", 2 * NARROW, 10),
)
PLAIN = mlp_layers(**SIZES)  # type: ignore[arg-type]
GATED = (PLAIN[0], dense("gate", WIDE, WIDE), *PLAIN[1:])
WEIGHTS = "losses, weights"


@dataclass(frozen=True)
class Gadget:
    """A comfort: what it is called, what is observed of it, how it is proven, and the layers of its model."""

    title: str
    observed: str = WEIGHTS
    scenario: Scenario = Subject.train
    layers: tuple[Layer, ...] = PLAIN


GADGETS = {
    "early_stopping": Gadget(
        "Early stopping with best weights", "losses, stopping epoch, restored weights", early_stopping
    ),
    "checkpoint_resume": Gadget(
        "Checkpoint and resume after kill -9", "losses after the kill, weights", checkpoint_resume
    ),
    "learning_rate_schedule": Gadget("Learning-rate schedule", "losses, rate of each epoch, weights"),
    "progress_bar": Gadget("Progress bar with metrics", "the numbers printed, losses, weights", progress_bar),
    "validation_split": Gadget("Validation split", "losses, validation losses, weights"),
    "class_weights": Gadget("Class weights", WEIGHTS, class_weights),
    "data_generator": Gadget("Data larger than memory", WEIGHTS, data_generator),
    "image_augmentation": Gadget("Image augmentation"),
    "custom_metric": Gadget("Custom metric", "losses, the metric of each epoch, weights"),
    "summary": Gadget("Model summary", "width and parameters of each layer, total", summary),
    "save_load": Gadget(
        "Save and load the whole model", "predictions in another process, losses that go on, weights", save_load
    ),
    "gradient_clipping": Gadget("Gradient clipping"),
    "transfer_learning": Gadget(
        "Transfer learning", "frozen weights bit for bit, losses and weights of both trainings", transfer_learning
    ),
    "branching": Gadget("Branching model", WEIGHTS, layers=BRANCHES),
    "custom_layer": Gadget("Custom layer", WEIGHTS, layers=GATED),
    "custom_training_step": Gadget("Custom training step"),
    "hyperparameter_search": Gadget(
        "Hyper-parameter search", "score of each candidate, the best one", hyperparameter_search
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
