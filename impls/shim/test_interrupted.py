"""A training that is saved, moved or loaded on its way goes on as if nothing had happened, whatever its options are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from impls import shim
from impls.shim.testing.pairwise import Row, drawn

RNG = np.random.default_rng(31)
COUNT = 11
X, NUMBERS, CLASSES = RNG.normal(size=(COUNT, 4)), RNG.normal(size=(COUNT, 2)), RNG.integers(0, 3, COUNT)
IMAGES = RNG.normal(size=(COUNT, 5, 4, 2))
IDS = RNG.integers(1, 6, (COUNT, 5)) * (np.arange(5) < RNG.integers(2, 6, (COUNT, 1)))
W = RNG.uniform(0.3, 2, COUNT)
CROSS = "softmax_cross_entropy"


def chain(*layers: Any, inputs: Any = (4,)) -> Callable[..., Any]:
    return lambda **settings: shim.Sequential([*(make() for make in layers)], inputs=inputs, **settings)


def of_two_outputs(**settings: Any) -> Any:
    start = shim.Input((4,))
    hidden = shim.Dropout(0.3)(shim.Dense(4, "tanh", name="first")(start))
    return shim.Model(start, {"n": shim.Dense(2, name="n")(hidden), "k": shim.Dense(3, name="k")(hidden)}, **settings)


TASKS: dict[str, tuple[Callable[..., Any], Any, Any, Any]] = {
    "vectors": (
        chain(lambda: shim.BatchNorm(0.7), lambda: shim.Dense(5, "relu"), lambda: shim.Dropout(0.4),
              lambda: shim.Dense(3)),
        X, CLASSES, CROSS,
    ),
    "images": (
        chain(lambda: shim.Conv2D(3, 2, activation="relu"), lambda: shim.SpatialDropout(0.3), shim.BatchNorm,
              shim.Flatten, lambda: shim.Dense(3), inputs=(5, 4, 2)),
        IMAGES, CLASSES, CROSS,
    ),
    "sequences": (
        chain(lambda: shim.Embedding(6, 3, mask_zero=True), lambda: shim.Bidirectional(lambda: shim.GRU(2)),
              lambda: shim.Dense(2), inputs=(5,)),
        IDS, NUMBERS, "mse",
    ),
    "outputs": (of_two_outputs, X, {"n": NUMBERS, "k": CLASSES}, {"n": "mse", "k": CROSS}),
}  # fmt: skip
RULES: dict[str, Callable[..., Any]] = {
    "SGD": lambda rate, **more: shim.SGD(rate, momentum=0.8, **more),
    "Adam": lambda rate, **more: shim.Adam(rate, **more),
    "AdamW": lambda rate, **more: shim.AdamW(rate, weight_decay=0.1, **more),
    "Adagrad": lambda rate, **more: shim.Adagrad(rate, **more),
}
UPDATES: dict[str, dict[str, Any]] = {
    "": {},
    "averaged": {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 4},
    "gathered": {"gradient_accumulation_steps": 2},
    "clipped": {"global_clipnorm": 0.1},
}
LEVELS: dict[str, list[str]] = {
    "task": list(TASKS),
    "rule": list(RULES),
    "update": list(UPDATES),
    "rate": ["", "falling", "by epoch", "set before"],
    "dtype": ["float64", "float32", "mixed_float16"],
    "source": ["arrays", "weighted arrays", "batches", "steps"],
    "interrupted": [
        "file",
        "file for one that is trained",
        "file of a callback",
        "weights and slots",
        "weights alone",
        "moved",
    ],
}


def possible(row: Row) -> bool:
    """A callback saves before averages take the place of weights; a loss scale has no way in but a file."""
    if row["interrupted"] == "file of a callback" and row["update"] == "averaged":
        return False
    return row["interrupted"] != "weights and slots" or row["dtype"] != "mixed_float16"


def started(row: Row, seed: int) -> Any:
    make, _, _, loss = TASKS[row["task"]]
    rate = shim.ExponentialDecay(0.1, 4, 0.5) if row["rate"] == "falling" else 0.05
    model = make(backend="numpy", dtype=row["dtype"], seed=seed)
    model.compile(RULES[row["rule"]](rate, **UPDATES[row["update"]]), loss)
    model.loss_scale.interval = 4  # so that the scale doubles on the way
    return model


def part(data: Any, at: Any) -> Any:
    return {key: each[at] for key, each in data.items()} if isinstance(data, dict) else data[at]


def train(model: Any, row: Row, epochs: int, *callbacks: Any) -> Any:
    """Go on to so many epochs: the history of those that are trained here."""
    _, x, y, _ = TASKS[row["task"]]
    data: tuple[Any, ...] = (x, y)
    options: dict[str, Any] = {}
    weights = {"n": W, "k": W} if row["task"] == "outputs" else W
    if row["source"] == "weighted arrays":
        options["sample_weight"] = weights
    if row["source"] == "batches":
        cuts = [slice(0, 4), slice(4, 8), slice(8, 11)]
        data = ([(part(x, cut), part(y, cut), part(weights, cut)) for cut in cuts],)
    if row["source"] == "steps":
        options["steps_per_epoch"] = 3
    if row["task"] == "images":
        options["augment"] = shim.Augment(flip=True, shift=1.0)
    found = list(callbacks)
    if row["rate"] == "by epoch":
        found.append(shim.LearningRate(lambda epoch: 0.1 / (epoch + 1)))
    if row["rate"] == "set before" and epochs < 4:  # and not in what goes on, which keeps it
        found.append(shim.LearningRate(lambda epoch: 0.03))
    return model.fit(*data, batch_size=4, epochs=epochs, resume=True, callbacks=found, **options).history


def interrupted(model: Any, row: Row, path: Path) -> Any:
    """A model that goes on where this one is."""
    how = row["interrupted"]
    if how == "moved":
        return model.to("numpy", "eager").to(dtype=row["dtype"], device="cpu")
    if how == "weights alone":  # which touch nothing else
        model.save_weights(path)
        model.load_weights(path)
        return model
    other = started(row, 5)
    if how == "file for one that is trained":
        train(other, row, 1)
    if how == "weights and slots":
        other.set_weights(model.get_weights())
        other.set_slots(model.get_slots(), model.t)
        other.rng, other.epoch, other.learning_rate = model.rng, model.epoch, model.learning_rate
        return other
    if how != "file of a callback":
        model.save(path)
    other.load(path)
    other.loss_scale.interval = 4
    return other


def test_a_training_goes_on_as_if_it_had_not_been_interrupted(tmp_path: Path) -> None:
    """Of random order, dropout, changed images, schedules, slots, averages and loss scales: to the last bit."""
    for at, row in enumerate(drawn(LEVELS, possible)):
        path = tmp_path / f"{at}.npz"
        whole, first = started(row, 3), started(row, 3)
        train(whole, row, 2)
        train(first, row, 2, shim.Checkpoint(path))
        other = interrupted(first, row, path)
        assert train(other, row, 4) == train(whole, row, 4), row
        rates = {"by epoch": 0.1 / 4, "set before": 0.03}
        assert other.learning_rate == whole.learning_rate == rates.get(row["rate"]), row
        assert other.t == whole.t and other.epoch == whole.epoch == 4, row
        assert (other.loss_scale.value, other.loss_scale.good) == (whole.loss_scale.value, whole.loss_scale.good), row
        for found, expected in ((other.get_weights(), whole.get_weights()), (other.get_slots(), whole.get_slots())):
            assert list(found) == list(expected), row
            assert all(np.array_equal(found[name], expected[name]) for name in expected), row
