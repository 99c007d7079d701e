"""Keras and the shim as a program sees them: under the same names, and what they write differently as methods."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from impls import shim

Found: TypeAlias = Any  # numbers, texts, lists and dictionaries of them: what JSON holds
Made: TypeAlias = Any  # a layer, a loss, an optimizer or a callback of either, and the engine's own functions
Function: TypeAlias = Callable[..., Made]
Options: TypeAlias = dict[str, Made]


ROOMS = ("callbacks", "layers", "losses", "metrics", "optimizers", "utils")


class EitherModel(Protocol):
    """What programs ask of a model of either."""

    name: str
    trainable: bool

    @property
    def layers(self) -> list[Made]: ...
    def __call__(self, x: Made) -> Made: ...
    def compile(self, optimizer: Made, loss: Made = None, **options: Made) -> None: ...
    def fit(self, *data: Made, **options: Made) -> Made: ...
    def evaluate(self, *data: Made, **options: Made) -> Found: ...
    def predict(self, x: Made, **options: Made) -> Found: ...
    def predict_on_batch(self, x: Made) -> Found: ...
    def train_on_batch(self, *data: Made, **options: Made) -> Found: ...
    def test_on_batch(self, *data: Made, **options: Made) -> Found: ...
    def count_params(self) -> int: ...
    def get_layer(self, name: str) -> Made: ...
    def get_weights(self) -> Found: ...
    def set_weights(self, weights: Found) -> None: ...
    def save(self, path: Path) -> None: ...
    def load(self, path: Path) -> None: ...
    def save_weights(self, path: Path) -> None: ...
    def load_weights(self, path: Path) -> None: ...
    def add(self, layer: Made) -> None: ...
    def pop(self) -> Made: ...


class Library:
    """One of the two. `layers`, `callbacks`, `losses`, `Model` and what follows below are where Keras has them.

    Everything is in float64.
    """

    name: str
    suffix: str  # of a file of a whole model
    weights_suffix: str
    layers: Made
    callbacks: Made
    losses: Made
    metrics: Made
    optimizers: Made
    utils: Made
    Input: Made
    Model: Callable[..., Made]
    Sequential: Callable[..., Made]

    def activation(self, function: Function) -> Function:
        """Of `function(ops, x)`, where `ops` has `sum` and `sigmoid`."""
        raise NotImplementedError

    def loss(self, function: Function) -> Function:
        """Of `function(ops, y, outputs)`, a value for each example."""
        raise NotImplementedError

    def metric(self, function: Function) -> Function:
        """Of `function(ops, y, outputs)`, a value for each example."""
        raise NotImplementedError

    def classes(self, integers: bool, **options: Made) -> Made:
        """The cross-entropy of classes, which are integers or rows."""
        raise NotImplementedError

    def two(self, **options: Made) -> Made:
        """The cross-entropy of yes and no."""
        raise NotImplementedError

    def named(self, model: EitherModel) -> dict[str, np.ndarray]:
        """Weights by `layer/weight`."""
        raise NotImplementedError

    def put(self, model: EitherModel, weights: dict[str, np.ndarray]) -> None:
        """Set weights by `layer/weight`."""
        raise NotImplementedError

    def outputs(self, model: EitherModel, x: Made) -> Found:
        """Of examples, of which there may be none: as NumPy."""
        raise NotImplementedError

    def called(self, model: EitherModel, x: Made) -> np.ndarray:
        """What a model gives that is called like a function."""
        raise NotImplementedError

    def accuracy(self) -> Made:
        """The metric of classes against logits, where it can be given as an object."""
        raise NotImplementedError

    def halves(self, make: Callable[..., Made]) -> Made:
        """What `make(model, layers)` makes in mixed precision: `model` makes it, `layers` are options of each layer."""
        raise NotImplementedError

    def read(self, path: Path, make: Callable[[], EitherModel]) -> EitherModel:
        """The model of a file of a model, or of weights: one that `make` makes, with what the file holds."""
        raise NotImplementedError

    def converted(self, model: Made) -> Made:
        """A model of Keras as one of this library."""
        raise NotImplementedError

    # -- what both do alike --------------------------------------------------------------------------------------

    def draw(self, model: EitherModel, seed: int = 0) -> Made:
        """The model, with drawn weights; the same for both."""
        rng = np.random.default_rng(seed)
        held = self.named(model)
        self.put(model, {name: rng.normal(0.1, 0.6, held[name].shape) for name in sorted(held)})
        return model

    def state(self, model: EitherModel) -> Found:
        return {name: weight.tolist() for name, weight in sorted(self.named(model).items())}


class Keras(Library):
    """Keras 3, on whatever KERAS_BACKEND names."""

    name, suffix, weights_suffix = "keras", ".keras", ".weights.h5"

    def __init__(self) -> None:
        import keras

        self.keras: Made = keras
        for name in (*ROOMS, "Input", "Model", "Sequential"):
            setattr(self, name, getattr(keras, name))

    def activation(self, function: Function) -> Function:
        return partial(function, self.keras.ops)

    def loss(self, function: Function) -> Function:
        return partial(function, self.keras.ops)

    def metric(self, function: Function) -> Function:
        def measured(y: Made, outputs: Made) -> Made:
            return function(self.keras.ops, y, outputs)

        measured.__name__ = function.__name__
        return measured

    def classes(self, integers: bool, **options: Made) -> Made:
        kind = "SparseCategoricalCrossentropy" if integers else "CategoricalCrossentropy"
        return getattr(self.keras.losses, kind)(**options)

    def two(self, **options: Made) -> Made:
        return self.keras.losses.BinaryCrossentropy(**options)

    def _variables(self, model: Made) -> Options:
        return {"/".join(each.path.split("/")[-2:]): each for each in model.weights}

    def named(self, model: EitherModel) -> dict[str, np.ndarray]:
        return {name: np.array(each.numpy()) for name, each in self._variables(model).items()}

    def put(self, model: EitherModel, weights: dict[str, np.ndarray]) -> None:
        for name, variable in self._variables(model).items():
            variable.assign(weights[name])

    def outputs(self, model: EitherModel, x: Made) -> Found:
        return self.keras.tree.map_structure(self.keras.ops.convert_to_numpy, model(x))

    def called(self, model: EitherModel, x: Made) -> np.ndarray:
        return np.array(self.keras.ops.convert_to_numpy(model(x)))

    def accuracy(self) -> Made:
        return "accuracy"

    def halves(self, make: Callable[..., Made]) -> Made:
        return make(self.Model, {"dtype": "mixed_float16"})

    def converted(self, model: Made) -> Made:
        return model

    def read(self, path: Path, make: Callable[[], EitherModel]) -> EitherModel:
        if path.suffix == ".keras":
            whole: EitherModel = self.keras.models.load_model(path)
            return whole
        model = make()
        model.load_weights(path)
        return model


class Shim(Library):
    """The shim on one backend, in eager mode."""

    name, suffix, weights_suffix = "shim", ".npz", ".npz"

    def __init__(self, backend: str) -> None:
        settings = {"backend": backend, "dtype": "float64", "mode": "eager"}
        self.backend = backend
        self.B: Made = shim.backend_module(backend)
        for name in ROOMS:
            setattr(self, name, getattr(shim, name))
        self.Input = shim.Input
        self.Model, self.Sequential = partial(shim.Model, **settings), partial(shim.Sequential, **settings)  # type: ignore[arg-type]

    def activation(self, function: Function) -> Function:
        return function

    def loss(self, function: Function) -> Function:
        def mean(B: Made, y: Made, outputs: Made, w: Made = None) -> Made:
            each = function(B, y, outputs)
            return B.mean(each if w is None else each * w)

        return mean

    def metric(self, function: Function) -> Function:
        def measured(B: Made, y: Made, outputs: Made) -> Made:
            return function(B, y, outputs)

        measured.__name__ = function.__name__
        return measured

    def classes(self, integers: bool, **options: Made) -> Made:
        return shim.losses.CategoricalCrossEntropy(**options)

    def two(self, **options: Made) -> Made:
        return shim.losses.BinaryCrossEntropy(**options)

    def named(self, model: EitherModel) -> dict[str, np.ndarray]:
        return dict(model.get_weights())

    def put(self, model: EitherModel, weights: dict[str, np.ndarray]) -> None:
        model.set_weights(weights)

    def outputs(self, model: EitherModel, x: Made) -> Found:
        return model.predict(x)

    def called(self, model: EitherModel, x: Made) -> np.ndarray:
        return np.array(self.B.numpy(model(x)))

    def accuracy(self) -> Made:
        return shim.metrics.accuracy

    def halves(self, make: Callable[..., Made]) -> Made:
        return make(partial(self.Model, dtype="mixed_float16"), {})

    def converted(self, model: Made) -> Made:
        return shim.from_keras(model, self.backend, "eager", "float64")

    def read(self, path: Path, make: Callable[[], EitherModel]) -> EitherModel:
        model = make()
        with np.load(path, allow_pickle=False) as file:
            whole = "facts" in file.files
        (model.load if whole else model.load_weights)(path)
        return model


Program: TypeAlias = Callable[[Library, Path], Found]


def plain(found: Found) -> Found:
    """Arrays and what holds them as lists and numbers."""
    if isinstance(found, dict):
        return {str(key): plain(each) for key, each in found.items()}
    if isinstance(found, (list, tuple)):
        return [plain(each) for each in found]
    if isinstance(found, np.ndarray):
        return found.tolist()
    return float(found) if isinstance(found, np.floating) else found


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """What is said meanwhile, a text a line; Keras says it on standard output, the shim on standard error."""
    lines: list[str] = []
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        yield lines
    lines += filter(None, map(sentence, text.getvalue().splitlines()))


def sentence(line: str) -> str:
    """A line as both say it: "" for what Keras alone says, numbers with six digits."""
    if re.search("finished saving|Restoring model weights", line):
        return ""
    line = re.sub(r"\S+ improved from \S+ to \S+, saving", "saving", line)
    line = re.sub(r"(saving model to) .*", r"\1", line)
    line = re.sub("Batch 0: Invalid", "Invalid", re.sub(r"Epoch \d+: Invalid", "Invalid", line))
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.6g}", line).strip()
