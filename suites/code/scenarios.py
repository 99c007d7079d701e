"""How each gadget is put to work on a worker, and what can be observed of it.

A scenario takes a `Subject`, the gadget's program of one implementation, and returns arrays by name. The same scenario
runs on every implementation; whatever it returns has to agree.
"""

from __future__ import annotations

import csv
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from impls.datasets import DATASETS
from impls.specs import Layer
from impls.weights import canonical
from suites.code.clusters import cluster
from suites.code.killing import kill_after
from suites.equivalence.compare import AGREEMENT, normwise
from suites.runner.remote_model import RemoteModel
from suites.runner.workers import Arrays, Worker, WorkerDied, WorkerFailed

FEATURES, WIDE, NARROW, CLASSES = 64, 32, 16, 10
SIZES: dict[str, Any] = {"features": FEATURES, "hidden": (WIDE, NARROW), "classes": CLASSES}
EXAMPLES, HELD_OUT = 200, 100
UNEVEN = 197  # four fifths are 157.6
TRAINED: dict[str, Any] = {"epochs": 4, "batch_size": 32}  # the last batch is a ragged one
LONG: dict[str, Any] = {**TRAINED, "epochs": 25}
WRITER: dict[str, Any] = {"vocabulary": 17, "steps": 16, "width": 12, "heads": 3, "blocks": 2}
WRITTEN = 6  # tokens that are generated after a prompt


class Subject:
    """One gadget's program on a worker, in the hands of a scenario."""

    def __init__(
        self,
        gadget: str,
        layers: tuple[Layer, ...],
        start: Callable[..., Worker],
        folder: Path,
        sizes: Mapping[str, Any] = SIZES,
        processes: bool = True,
    ) -> None:
        """Without `processes` one process does all: it loads what it saved itself, and nothing is killed."""
        self.gadget, self.layers, self.start, self.folder = gadget, layers, start, folder
        self.sizes, self.processes = sizes, processes
        self.worker: Worker = start()
        self.texts: dict[str, str] = {}
        self.printed = ""

    def move(self) -> None:
        """Go on in another process, with a model of its own."""
        if self.processes:
            self.worker.stop()
            self.worker = self.start()
        self.open()

    def open(self, dtype: str = "float64") -> None:
        """A new model with the canonical weights, which are of `dtype`, as all data are."""
        RemoteModel(self.worker).open_feature(self.gadget, self.sizes, canonical(self.layers), dtype)

    def call(
        self, function: str, *given: np.ndarray, model: bool = True, makes: bool = False, **arguments: Any
    ) -> Arrays:
        """What the program's `function` returned; what it printed and its texts are kept."""
        arrays = {str(at): value for at, value in enumerate(given)}
        body, found = RemoteModel(self.worker).call_feature(
            arrays, function=function, model=model, makes=makes, arguments=arguments
        )
        self.texts, self.printed = body["texts"], body["printed"]
        return found

    def weights(self, prefix: str = "weight") -> Arrays:
        found = RemoteModel(self.worker).feature_weights()
        return {f"{prefix}/{name}": value for name, value in found.items()}

    def train(self, *more: np.ndarray, **arguments: Any) -> Arrays:
        """Open, train on the data and what comes with them; the history and the weights."""
        self.open()
        x, y, *_ = data()
        history = self.call("train", x, y, *more, **{**TRAINED, **arguments})
        return {**history, **self.weights()}


@cache
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
    history = subject.call("train", x, noisy(y), x_val, y_val, epochs=40, batch_size=32)
    stopped = len(history["result/val_loss"])
    assert stopped < 40, "the training was to stop before its last epoch"
    return {"stopped after": np.array(stopped), **history, **subject.weights()}


def sample_weights(subject: Subject) -> Arrays:
    return subject.train(np.linspace(0.25, 1.75, EXAMPLES))


def validation_split(subject: Subject) -> Arrays:
    """Of a number of examples of which four fifths are no whole number, and nearer to the next one than to the last."""
    subject.open()
    x, y, *_ = data()
    return {**subject.call("train", x[:UNEVEN], y[:UNEVEN], **TRAINED), **subject.weights()}


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


def csv_log(subject: Subject) -> Arrays:
    """The columns of the file, by name; Keras writes one without numbers for a validation that there is not."""
    path = subject.folder / "log.csv"
    found = subject.train(path=str(path))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name, first in rows[0].items():
        if first != "NA":
            found[f"column {name}"] = np.array([row[name] for row in rows], float)
    return found


LAST_WRITTEN = {
    "raw_tf": "checkpoint",
    "tf_keras": "training_metadata.json",
    "shim": "model.npz",
    "raw_torch": "model.pt",
}


def checkpoint_resume(subject: Subject) -> Arrays:
    """The losses, those after the kill from the training that was resumed, and the weights at the end."""
    x, y, *_ = data()
    long = LONG if subject.processes else {**TRAINED, "epochs": 2 * TRAINED["epochs"]}
    subject.open()
    whole = subject.call("train", x, y, folder=str(emptied(subject.folder / "whole")), **long)
    folder = emptied(subject.folder / "killed")
    subject.open()
    if subject.processes:
        train_and_kill(subject, folder)
    else:
        subject.call("train", x, y, folder=str(folder), **TRAINED)
    subject.open()
    resumed = subject.call("train", x, y, folder=str(folder), **long)["result"]
    assert 0 < len(resumed) < long["epochs"], f"{len(resumed)} epochs were left after the kill"
    losses = np.concatenate([whole["result"][: -len(resumed)], resumed])
    distance = normwise(losses, whole["result"])
    assert distance <= AGREEMENT, f"the losses after the kill differ by {distance:.2g} from those without one"
    return {"uninterrupted": whole["result"], "resumed": losses, **subject.weights()}


def train_and_kill(subject: Subject, folder: Path) -> None:
    """Train until a few checkpoints are written, and no further; another process takes the place of the killed one."""
    x, y, *_ = data()
    last = folder / LAST_WRITTEN[subject.worker.implementation]
    killed = threading.Thread(target=kill_after, args=(subject.worker, last))
    killed.start()
    with suppress(WorkerDied):
        subject.call("train", x, y, folder=str(folder), **LONG)
    killed.join()
    subject.worker = subject.start()


def emptied(folder: Path) -> Path:
    folder.mkdir()
    return folder


def save_load(subject: Subject) -> Arrays:
    """Predictions of the saved model and, in another process, of the loaded one; and a training that goes on."""
    x, y, x_test, _ = data()
    found = subject.train()
    before, path = subject.call("predict", x_test)["result"], str(subject.folder / "model")
    subject.call("save", path=path)
    subject.move()
    subject.call("load", path=path, model=False, makes=True)
    after = subject.call("predict", x_test)["result"]
    assert np.array_equal(before, after), "the loaded model predicts something else"
    more = subject.call("train", x, y, **TRAINED)["result"]
    return {**found, "predictions": before, "loaded": after, "more": more, **subject.weights("later")}


def export(subject: Subject) -> Arrays:
    """Predictions of the model, and of what was exported when another process serves it."""
    *_, x_test, _ = data()
    found, path = subject.train(), str(subject.folder / "served")
    before = subject.call("predict", x_test)["result"]
    subject.call("export", path=path)
    subject.move()
    served = subject.call("serve", x_test, model=False, path=path)["result"]
    return {**found, "predictions": before, "served": served}


def mixed_precision(subject: Subject) -> Arrays:
    """Predictions of the first weights; and what type predictions and weights are of after a training.

    The loss of the first step is that of what is predicted in bfloat16, a hundred times nearer than what float32 gives.
    """
    subject.open("float32")
    x, y, x_test, _ = data()
    before, logits = (subject.call("predict", each)["result"].astype(np.float64) for each in (x_test, x))
    first = subject.call("train", x, y, epochs=1, batch_size=len(x))["result"][0]
    expected = (np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(y)), y]).mean()
    assert abs(first - expected) <= 1e-6 * expected, f"the first loss is {first}, of its predictions {expected}"
    subject.call("train", x, y, **TRAINED)
    after, weights = subject.call("predict", x_test)["result"], subject.weights()
    return {
        "bfloat16 predictions": before,
        "predictions are of bfloat16": np.array(is_bfloat16(after)),
        "weights are of bfloat16": np.array([is_bfloat16(value) for value in weights.values()]),
        "bytes of a weight": np.array([value.itemsize for value in weights.values()]),
    }


def is_bfloat16(array: np.ndarray) -> bool:
    """Whether every float32 number has only the upper half of its bits."""
    return not (array.astype(np.float32).view(np.uint32) & 0xFFFF).any()


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


def text_generation(subject: Subject) -> Arrays:
    """Tokens and logits; without a cache, the whole text read again for each token, they are the same."""
    subject.open()
    prompts = np.random.default_rng(0).integers(0, WRITER["vocabulary"], (3, 5))
    found = subject.call("generate", prompts, count=WRITTEN)
    tokens, logits = prompts, []
    for _ in range(WRITTEN):
        logits.append(subject.call("predict", tokens)["result"][:, -1])
        tokens = np.concatenate([tokens, logits[-1].argmax(-1)[:, None]], 1)
    assert np.array_equal(found["result/tokens"], tokens), "the text without a cache is another one"
    distance = normwise(found["result/logits"], np.stack(logits, 1))
    assert distance <= AGREEMENT, f"logits differ by {distance:.2g} from those without a cache"
    return found


STOPPED = "was stopped"


def data_parallel(subject: Subject) -> Arrays:
    """Both processes' history and weights, which are those of one process that trains on whole batches."""
    alone = Subject("base", subject.layers, subject.start, subject.folder).train()
    found = together([replaced(subject, environment) for environment in cluster()])
    for rank, own in enumerate(found):
        for name, value in own.items():
            distance = normwise(value, alone[name])
            assert distance <= AGREEMENT, f"{name} of process {rank} differs by {distance:.2g} from one process alone"
    return {f"process {rank}: {name}": value for rank, own in enumerate(found) for name, value in own.items()}


def replaced(subject: Subject, environment: Mapping[str, str]) -> Subject:
    """The same program in another process with more in its environment."""
    return Subject(subject.gadget, subject.layers, lambda: subject.start(environment), subject.folder)


def together(subjects: list[Subject]) -> list[Arrays]:
    """What each sees of a training that all do at once; where one fails none waits for it."""
    with ThreadPoolExecutor(len(subjects)) as executor:
        jobs = [executor.submit(subject.train) for subject in subjects]
        wait(jobs, return_when=FIRST_EXCEPTION)
        for subject in subjects:
            subject.worker.stop()
    failures = [error for job in jobs if (error := job.exception())]
    if failures:
        raise min(failures, key=lambda error: isinstance(error, WorkerFailed) and error.reason == STOPPED)
    return [job.result() for job in jobs]
