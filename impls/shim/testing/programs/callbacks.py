"""Callbacks on a loss that does what a list says, with their files and what they say."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from impls.shim.testing.programs.library import Found, Library, Made, Options, Program, heard, plain

ONE, ZERO = np.ones((1, 1)), np.zeros((1, 1))
RATE = 0.125


def unit(k: Library) -> Made:
    """A model of one weight w, whose loss on ONE and ZERO is w^2."""
    model = k.Sequential([k.Input((1,)), k.layers.Dense(1, use_bias=False, name="unit")])
    model.compile(k.optimizers.SGD(RATE), "mse", metrics=["mse", "mae"])
    return model


def follow(k: Library, heights: Sequence[float], callbacks: Sequence[Made], **fit: Made) -> Found:
    """A training whose loss in each epoch is the next of `heights`: a callback sets the weight before it.

    By the same callbacks the last epochs are trained once more, numbered as they were.
    """
    model = unit(k)

    def begin(epoch: int, logs: Made) -> None:
        model.set_weights([np.full((1, 1), math.sqrt(heights[epoch]))])

    first = k.callbacks.LambdaCallback(on_epoch_begin=begin)
    found: dict[str, Found] = {}
    for name, begins in (("first", 0), ("again", max(len(heights) - 4, 0))):
        with heard() as lines:
            model.fit(
                ONE, ZERO, epochs=len(heights), initial_epoch=begins, verbose=0, validation_data=(ONE, ZERO),
                callbacks=[first, *callbacks], **fit,
            )  # fmt: skip
        history = model.history
        found[name] = {"history": history.history, "epochs": history.epoch, "said": lines, "weights": k.state(model)}
    return readable(found)


def readable(found: Found) -> Found:
    """Numbers that are none as texts, which are equal to themselves."""
    if isinstance(found, dict):
        return {key: readable(each) for key, each in found.items()}
    if isinstance(found, list):
        return [readable(each) for each in found]
    return found if not isinstance(found, float) or math.isfinite(found) else str(found)


WAVES = [
    5.0,
    4.0,
    4.5,
    4.2,
    4.1,
    3.9,
    3.89,
    3.0,
    3.0,
    3.05,
    3.3,
    3.2,
    3.3,
    2.0,
    2.5,
    2.6,
    2.7,
    2.8,
]  # the best of them twice
FALLING = [4.0, 3.0, 2.0, 1.0]
PLATEAUS: dict[str, tuple[Sequence[float], Options]] = {
    "as it comes": (WAVES, {"patience": 2}),
    "said": (WAVES, {"factor": 0.5, "patience": 1, "verbose": 1}),
    "rest": (WAVES, {"factor": 0.5, "patience": 1, "cooldown": 2, "verbose": 1}),
    "to a least rate": (WAVES, {"factor": 0.25, "patience": 1, "min_lr": 0.01, "verbose": 1}),
    "by much": (WAVES, {"factor": 0.5, "patience": 2, "min_delta": 0.15}),
    "of what grows": (WAVES, {"factor": 0.5, "patience": 2, "mode": "max", "monitor": "mae"}),
    "of what falls": (FALLING, {"factor": 0.5, "patience": 1, "monitor": "loss"}),
    "from no number": ([math.inf, 3.0, 2.0, 3.0], {"factor": 0.5, "patience": 1}),
}
STOPPING: dict[str, tuple[Sequence[float], Options]] = {
    "said": (WAVES, {"patience": 2, "verbose": 1}),
    "back to the best": (WAVES, {"patience": 3, "verbose": 1, "restore_best_weights": True}),
    "never": (FALLING, {"patience": 1, "verbose": 1, "restore_best_weights": True}),
    "of what grows": (WAVES, {"patience": 1, "mode": "max", "monitor": "val_mae", "restore_best_weights": True}),
    "from no number": ([math.inf, math.inf, 3.0, 2.0], {"patience": 1, "verbose": 1, "restore_best_weights": True}),
    "once no number": ([math.inf, 3.0, 2.0, 3.0], {"patience": 1, "verbose": 1, "restore_best_weights": True}),
}


def reduce_on_plateaus(k: Library, folder: Path) -> Found:
    found = {}
    for name, (heights, options) in PLATEAUS.items():
        found[name] = follow(k, heights, [k.callbacks.ReduceLROnPlateau(**options)])
    some = k.callbacks.ReduceLROnPlateau(factor=0.5, patience=1, cooldown=1)
    found["seldom validated"] = follow(k, WAVES, [some], validation_freq=2)
    return found


def stop_early(k: Library, folder: Path) -> Found:
    found = {}
    for name, (heights, options) in STOPPING.items():
        given = {"restore_best_weights": False, **options}  # the shim goes back where nothing is said
        found[name] = follow(k, heights, [k.callbacks.EarlyStopping(**given)])
    some = k.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    found["seldom validated"] = follow(k, WAVES, [some], validation_freq=[1, 2, 5, 8, 9, 12])
    return found


def schedule_rates(k: Library, folder: Path) -> Found:
    def by_epoch(epoch: int) -> float:
        return 0.5 / (1 + epoch)

    def by_rate(epoch: int, rate: float) -> float:
        return rate * 0.5 if epoch % 2 else rate

    def by_either(epoch: int, rate: float = 0.3) -> float:
        return rate * 0.75

    found = {}
    for name, schedule in (("by epoch", by_epoch), ("by rate", by_rate), ("by either", by_either)):
        for verbose in (0, 1):
            scheduler = k.callbacks.LearningRateScheduler(schedule, verbose=verbose)
            found[f"{name}, {verbose}"] = follow(k, WAVES[:5], [scheduler])
    return found


CHECKPOINTS: dict[str, Options] = {
    "every epoch": {},
    "said": {"verbose": 1},
    "the best": {"save_best_only": True, "verbose": 1},
    "the best, quietly": {"save_best_only": True},
    "of what grows": {"save_best_only": True, "mode": "max", "monitor": "mae"},
    "better than a number": {"save_best_only": True, "monitor": "loss", "initial_value_threshold": 3.95, "verbose": 1},
    "weights alone": {"save_weights_only": True, "save_best_only": True},
}


def saved(k: Library, folder: Path, options: Options, **fit: Made) -> Found:
    """A training with a checkpoint: what it found, and the weights of every file by its name."""
    suffix = k.weights_suffix if options.get("save_weights_only") else k.suffix
    path = folder / "deep" / ("{epoch:02d}-{loss:.3f}" + suffix)
    found = follow(k, WAVES[:9], [k.callbacks.ModelCheckpoint(str(path), **options)], **fit)
    files = sorted(path.parent.iterdir())
    found["files"] = {file.name.removesuffix(suffix): k.state(k.read(file, lambda: unit(k))) for file in files}
    return found


def keep_checkpoints(k: Library, folder: Path) -> Found:
    found = {}
    for at, (name, options) in enumerate(CHECKPOINTS.items()):
        found[name] = saved(k, folder / str(at), options)
    some = saved(k, folder / "some", {"save_best_only": True}, validation_freq=2)
    if k.name == "keras":  # it saves, and warns, where there is no value to compare
        some["files"] = {name: file for name, file in some["files"].items() if int(name.partition("-")[0]) % 2 == 0}
    return {**found, "seldom validated": some}


def table(path: Path, separator: str = ",") -> list[list[Made]]:
    """The cells of a file, numbers as such."""
    with path.open(encoding="utf-8", newline="") as file:
        return [[number(cell) for cell in row] for row in csv.reader(file, delimiter=separator)]


def number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


LOGS: dict[str, tuple[Options, Options]] = {  # one after the other, into one file
    "first": ({}, {}),
    "anew": ({}, {"validation_freq": 2}),
    "continued": ({"append": True}, {}),
    "with another separator": ({"separator": ";"}, {}),
}


def log_tables(k: Library, folder: Path) -> Found:
    """A header once, a line an epoch: written anew, continued, of epochs with and without validation."""
    found = {}
    path, new = folder / "log.csv", folder / "new.csv"
    for name, (options, fit) in LOGS.items():
        follow(k, WAVES[:3], [k.callbacks.CSVLogger(str(path), **options)], **fit)
        found[name] = table(path, options.get("separator", ","))
    follow(k, WAVES[:2], [k.callbacks.CSVLogger(str(new), append=True)])
    return {**found, "continued from nothing": table(new)}


def end_at_infinity(k: Library, folder: Path) -> Found:
    """What is left of the epoch is no number in both."""
    found = follow(k, [2.0, 1.0, math.inf, 1.0], [k.callbacks.TerminateOnNaN()])["first"]
    fine = follow(k, [2.0, 1.0], [k.callbacks.TerminateOnNaN()])
    return {"epochs": found["epochs"], "said": found["said"], "loss": found["history"]["loss"][:2], "fine": fine}


def call_functions(k: Library, folder: Path) -> Found:
    """In their order, with the epochs and the logs; those that are not given are not called."""
    notes: list[Made] = []

    def noting(name: str) -> Callable[..., None]:
        return lambda *given: notes.append([name, *plain(list(given))])

    whole = k.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: notes.append(["begin", epoch]),
        on_epoch_end=noting("end"),
        on_train_begin=lambda logs: notes.append(["training begins"]),
        on_train_end=lambda logs: notes.append(["training ends"]),
    )
    part = k.callbacks.LambdaCallback(on_epoch_end=noting("part"))
    follow(k, FALLING, [whole, part, k.callbacks.LambdaCallback()])
    return notes


def lines_of_epochs(k: Library, folder: Path) -> Found:
    """The values that `verbose` 2 says; of a bar, which Keras moves with every step, that it says the last epoch."""
    said = {}
    for verbose in (2, 1):
        model = k.draw(unit(k))
        with heard() as lines:
            model.fit(ONE, ZERO, epochs=3, initial_epoch=1, verbose=verbose)
        said[verbose] = "\n".join(lines)
    values = [[name, number(value)] for name, value in re.findall(r"(\w+): ([\d.]+)", said[2])]
    return {"values": sorted(values), "epochs": ["3/3" in text and "loss" in text for text in said.values()]}


PROGRAMS: dict[str, Program] = {
    "rates on plateaus": reduce_on_plateaus,
    "early stopping": stop_early,
    "rates by a schedule": schedule_rates,
    "checkpoints": keep_checkpoints,
    "tables": log_tables,
    "no number": end_at_infinity,
    "functions": call_functions,
    "lines": lines_of_epochs,
}
