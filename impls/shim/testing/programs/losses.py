"""Losses and metrics by Keras's names and of one's own: their values, weighted ones, and where a step leads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from impls.shim.testing.programs.library import Found, Library, Made, Program, plain

RNG = np.random.default_rng(7)
CLASSES = RNG.integers(0, 3, 8)
HOT = np.eye(3)[CLASSES]
SHARES = RNG.dirichlet(np.ones(3), 8)
BITS = RNG.integers(0, 2, (8, 3)).astype(float)
X = RNG.normal(size=(8, 4))
WEIGHTS = RNG.uniform(0.2, 3, 8)
OF_PLACES = RNG.uniform(0.2, 2, (3, 4))


def judged(
    k: Library, loss: Made, y: Made, activation: str = "linear", metrics: Made = ("accuracy",), scale: float = 1.0
) -> Found:
    """Loss and metrics of a layer's outputs, with weights and without, and the weights after a step of each."""
    model = k.Sequential([k.Input((4,)), k.layers.Dense(y.shape[-1] if y.ndim > 1 else 3, activation, name="unit")])
    model.compile(k.optimizers.SGD(0.5), loss, metrics=list(metrics))
    k.draw(model)
    x = X[: len(y)] * scale
    weights = WEIGHTS[: len(y)]
    found = {
        "plain": model.evaluate(x, y, verbose=0, return_dict=True),
        "weighted": model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True),
        "step": model.train_on_batch(x, y),
        "weighted step": model.train_on_batch(x, y, sample_weight=weights, return_dict=True),
    }
    return plain({**found, "weights": k.state(model)})


def by_name(k: Library, folder: Path) -> Found:
    """Of probabilities, as the names mean; far out too, where they are all but certain."""
    found = {}
    for name, y, activation in (
        ("sparse_categorical_crossentropy", CLASSES, "softmax"),
        ("categorical_crossentropy", HOT, "softmax"),
        ("categorical_crossentropy", SHARES, "softmax"),
        ("binary_crossentropy", BITS, "sigmoid"),
        ("binary_crossentropy", BITS[:, :1], "sigmoid"),
        ("kl_divergence", SHARES, "softmax"),
        ("cosine_similarity", SHARES, "sigmoid"),
        ("mse", BITS, "linear"),
        ("mse", BITS[:, :1], "sigmoid"),
        ("mae", BITS, "tanh"),
        ("huber", BITS * 3, "linear"),
    ):
        metrics = ["accuracy", "binary_accuracy"] if "binary" in name else ["accuracy"]
        if "crossentropy" not in name:
            metrics += ["mae", "mse"]
        for scale in (1.0, 4.0):
            if scale == 1.0 or name in ("mse", "huber", "cosine_similarity"):
                found[f"{name}, {scale}, {y.shape}"] = judged(k, name, y, activation, metrics, scale)
    return found


def of_classes(k: Library, folder: Path) -> Found:
    """Integers, rows and shares; of logits or probabilities that do not sum up to one; smoothed."""
    found = {}
    for smooth in (0.0, 0.3):
        for logits in (False, True):
            for name, y in (("rows", HOT), ("shares", SHARES)):
                loss = k.classes(False, from_logits=logits, label_smoothing=smooth)
                activation = "linear" if logits else "sigmoid"
                found[f"{name}, {smooth}, {logits}"] = judged(k, loss, y, activation)
            # Keras smooths no integers: their rows, there
            integers = smooth == 0
            labels: Made = CLASSES if integers or k.name == "shim" else HOT
            loss = k.classes(integers, from_logits=logits, **({} if integers else {"label_smoothing": smooth}))
            found[f"integers, {smooth}, {logits}"] = judged(k, loss, labels, "linear" if logits else "sigmoid")
    return found


def of_two(k: Library, folder: Path) -> Found:
    found = {}
    for smooth in (0.0, 0.3):
        for logits in (False, True):
            loss = k.two(from_logits=logits, label_smoothing=smooth)
            metrics = ["mae"] if logits else ["binary_accuracy"]
            found[f"{smooth}, {logits}"] = judged(k, loss, BITS, "linear" if logits else "sigmoid", metrics)
    return found


def of_one_s_own(k: Library, folder: Path) -> Found:
    """A loss and metrics that are functions, and metrics by every name."""

    def fourth(ops: Made, y: Made, outputs: Made) -> Made:
        square = (outputs - y) * (outputs - y)
        return ops.sum(square * square, -1)

    def power(ops: Made, y: Made, outputs: Made) -> Made:
        return ops.sum(outputs * outputs, -1)

    own = judged(k, k.loss(fourth), BITS, "tanh", [k.metric(power), "mae"])
    named = judged(k, "categorical_crossentropy", HOT, "softmax", ["categorical_accuracy", k.metric(power)])
    sparse = judged(k, "sparse_categorical_crossentropy", CLASSES, "softmax", ["sparse_categorical_accuracy", "acc"])
    logits = judged(k, k.classes(True, from_logits=True), CLASSES, "linear", [k.accuracy()])
    return {"own": own, "named": named, "sparse": sparse, "logits": logits}


def by_class(k: Library, folder: Path) -> Found:
    """Losses and metrics as objects of Keras's classes, with names and options."""
    L, M = k.losses, k.metrics
    rows = [M.CategoricalAccuracy(), M.MeanAbsoluteError(name="off"), M.MeanSquaredError()]
    found = {
        "sparse": judged(
            k, L.SparseCategoricalCrossentropy(), CLASSES, "softmax", [M.SparseCategoricalAccuracy("acc")]
        ),
        "sparse logits": judged(k, L.SparseCategoricalCrossentropy(from_logits=True), CLASSES),
        "smooth": judged(k, L.CategoricalCrossentropy(label_smoothing=0.2), HOT, "softmax", rows),
        "binary": judged(
            k, L.BinaryCrossentropy(label_smoothing=0.1), BITS, "sigmoid", [M.BinaryAccuracy(name="hits")]
        ),
        "binary logits": judged(k, L.BinaryCrossentropy(from_logits=True), BITS, "linear", [M.MeanAbsoluteError()]),
    }
    for name in ("CosineSimilarity", "Huber", "KLDivergence", "MeanAbsoluteError", "MeanSquaredError"):
        found[name] = judged(k, getattr(L, name)(), SHARES, "softmax", rows)
    return {**found, "rows": k.utils.to_categorical(CLASSES[:, None], 4).tolist()}


def sequences(k: Library, folder: Path) -> Found:
    """Classes of every place, as numbers, columns and rows, of a mask and of weights of places."""
    ids = np.array([[1, 2, 0, 0], [3, 1, 2, 0], [2, 2, 1, 3]])
    y = np.array([[0, 1, 2, 0], [1, 1, 0, 2], [2, 0, 1, 1]])
    forms: dict[str, tuple[Made, Made]] = {
        "numbers": (y, k.classes(True, from_logits=True)),
        "rows": (np.eye(3)[y], k.classes(False, from_logits=True)),
        "shares": (np.eye(3)[y] * 0.7 + 0.1, k.classes(False, from_logits=True)),
        "columns": (y[..., None], k.classes(True, from_logits=True)),
    }
    found: dict[str, Found] = {}
    for name, (labels, loss) in forms.items():
        for masked in (False, True):
            layers = [k.layers.Embedding(4, 3, mask_zero=masked, name="table"), k.layers.Dense(3, name="unit")]
            model = k.draw(k.Sequential([k.Input((4,)), *layers]))
            model.compile(k.optimizers.SGD(0.5), loss)
            losses = [model.train_on_batch(ids, labels), model.evaluate(ids, labels, verbose=0)]
            if name == "numbers":
                losses.append(model.train_on_batch(ids, labels, sample_weight=OF_PLACES))
            found[f"{name}, {masked}"] = {"losses": plain(losses), "weights": k.state(model)}
    return found


PROGRAMS: dict[str, Program] = {
    "by class": by_class,
    "by name": by_name,
    "of classes": of_classes,
    "of two": of_two,
    "of one's own": of_one_s_own,
    "of sequences": sequences,
}
