"""Models of several outputs: losses, weights, labels and metrics of each, as lists and as dictionaries."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from impls.shim.testing.programs.library import EitherModel, Found, Function, Library, Made, Options, Program, plain

RNG = np.random.default_rng(5)
X = RNG.normal(size=(10, 3))
NUMBERS, CLASSES, PAIRS = RNG.normal(size=(10, 1)), RNG.integers(0, 2, 10), RNG.normal(size=(10, 2))
W, V = RNG.uniform(0.3, 2, 10), RNG.uniform(0.3, 2, 10)


def branched(k: Library, form: str = "list", **layer: Made) -> Made:
    """A number and a class of two from hidden units that they share; "hidden" hands these out."""
    start = k.Input((3,))
    hidden = k.layers.Dense(4, "tanh", name="hidden", **layer)(start)
    number, kind = k.layers.Dense(1, name="number", **layer)(hidden), k.layers.Dense(2, name="kind", **layer)(hidden)
    outputs: Made = {
        "list": [number, kind], "dictionary": {"n": number, "k": kind}, "hidden": [number, hidden],
    }[form]  # fmt: skip
    return k.draw(k.Model(start, outputs))


def told(k: Library, model: EitherModel, y: Made, weights: Made = None, judged: Made = None) -> Found:
    """Everything that a model of several outputs gives of a training."""
    given = {} if weights is None else {"sample_weight": weights}
    found = {
        "before": model.evaluate(X, y, batch_size=4, verbose=0, return_dict=True, **given),
        "step": model.train_on_batch(X, y, return_dict=True, **given),
        "as a list": model.train_on_batch(X, y, **given),
        "history": model.fit(X, y, batch_size=4, epochs=2, shuffle=False, verbose=0, **given).history,
        "held out": model.fit(X, y, validation_split=0.3, shuffle=False, verbose=0, **given).history,
        "weights": k.state(model),
        "predicted": model.predict(X, batch_size=4, verbose=0),
        "none": k.outputs(model, X[:0]),
    }
    return plain(found)


def of_lists(k: Library, folder: Path) -> Found:
    """One loss for all, one for each, weights of them, metrics of each, weighted ones, an output without a loss."""
    sgd, classes = k.optimizers.SGD, k.classes(True, from_logits=True)
    y = [NUMBERS, CLASSES]
    found: dict[str, Found] = {}
    every: dict[str, tuple[Options, Made, Made]] = {
        "one loss": ({"loss": "mse"}, [NUMBERS, PAIRS], None),
        "two": ({"loss": ["mse", classes]}, y, None),
        "weights of losses": ({"loss": ["mse", classes], "loss_weights": [0.25, 2.0]}, y, None),
        "metrics": ({"loss": ["mse", classes], "metrics": [["mae", "mse"], ["accuracy"]]}, y, [W, V]),
        "weighted": (
            {"loss": ["mse", classes], "metrics": [["mae"], []], "weighted_metrics": [["mae", "mse"], ["accuracy"]]},
            y, [W, V],
        ),
        "by name": (
            {"loss": {"number": "mae", "kind": classes}, "loss_weights": {"kind": 0.3, "number": 2.0},
             "metrics": {"kind": ["accuracy"]}},
            y, None,
        ),
        "one is only measured": ({"loss": [None, classes], "metrics": [["mae"], []]}, y, None),
    }  # fmt: skip
    for name, (options, labels, weights) in every.items():
        model = branched(k)
        model.compile(sgd(0.1), **options)
        found[name] = told(k, model, labels, weights)
    return found


def of_dictionaries(k: Library, folder: Path) -> Found:
    """Labels, weights, losses and metrics by the names of the outputs."""
    classes = k.classes(True, from_logits=True)
    y = {"k": CLASSES, "n": NUMBERS}
    found: dict[str, Found] = {}
    every: dict[str, tuple[Options, Made]] = {
        "losses": ({"loss": {"n": "mse", "k": classes}}, None),
        "all": (
            {"loss": {"k": classes, "n": "mse"}, "loss_weights": {"n": 0.5, "k": 2.0},
             "metrics": {"n": "mae", "k": ["accuracy"]}, "weighted_metrics": {"n": ["mse"]}},
            {"n": W, "k": V},
        ),
    }  # fmt: skip
    for name, (options, weights) in every.items():
        model = branched(k, "dictionary")
        model.compile(k.optimizers.SGD(0.1), **options)
        found[name] = told(k, model, y, weights)
    return found


def without_a_loss(k: Library, folder: Path) -> Found:
    """An output that is handed out alone, and read by another layer."""
    model = branched(k, "hidden")
    model.compile(k.optimizers.SGD(0.1), ["mse", None])
    labels = [NUMBERS] if k.name == "shim" else [NUMBERS, None]  # which may be left out here
    losses = [model.train_on_batch(X, labels), model.train_on_batch(X, [NUMBERS, None])]
    return plain({"losses": losses, "predicted": model.predict(X, verbose=0), "weights": k.state(model)})


def of_batches(k: Library, folder: Path) -> Found:
    """Streams of batches, whose labels and weights are those of all outputs."""

    def batches(weighted: bool) -> Made:
        for cut in (slice(0, 4), slice(4, 10)):
            labels = (NUMBERS[cut], CLASSES[cut])
            yield (X[cut], labels, (W[cut], V[cut])) if weighted else (X[cut], labels)

    model = branched(k)
    model.compile(k.optimizers.SGD(0.1), ["mse", k.classes(True, from_logits=True)])
    return plain({
        "history": model.fit(batches(False), verbose=0).history,
        "weighted": model.fit(batches(True), verbose=0).history,
        "evaluated": model.evaluate(batches(True), verbose=0),
        "predicted": model.predict(batches(False), verbose=0),
        "weights": k.state(model),
    })  # fmt: skip


def in_16_bits(k: Library, folder: Path) -> Found:
    """Each output is the input rounded once to 16 bits, which both do to the last bit."""

    def made(model: Function, options: Options) -> Made:
        start = k.Input((3,))
        layers = [k.layers.Dense(3, kernel_initializer="ones", name=name, **options) for name in ("a", "b", "c")]
        first, second, third = layers
        return model(start, [second(first(start)), third(start)])

    model = k.halves(made)
    weights = {name: np.eye(3) if name.endswith("kernel") else np.zeros(3) for name in k.named(model)}
    k.put(model, weights)
    found = [np.asarray(each, np.float64) for each in model.predict(X, verbose=0)]
    return plain({"outputs": found, "rounded": [bool((each != X).all()) for each in found]})


PROGRAMS: dict[str, Program] = {
    "of lists": of_lists,
    "of dictionaries": of_dictionaries,
    "without a loss": without_a_loss,
    "of batches": of_batches,
    "in 16 bits": in_16_bits,
}
