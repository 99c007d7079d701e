"""`python -m impls.shim.testing.script BACKEND`: does with a model what a script says, on one backend, in a process.

A request describes a model and lists calls on it, as plain data: what asks needs neither the shim nor a framework.
`model`: {"layers": [{"kind", "name", options ..., "from": [values]}], "inputs": [shape, ...]}, where value 0 is the
first input; `calls`: [[name, {argument: value}], ...], where {"array": name} stands for an array of the request. The
answer holds the arrays `<call>/<name>`, and in its body what is no array, by call.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from impls import protocol, shim
from impls.shim.data import Data
from impls.shim.trained import Model

Arrays: TypeAlias = dict[str, np.ndarray]

Json: TypeAlias = Any  # what a script holds, and what is made of it: layers, optimizers, callbacks
Answer: TypeAlias = tuple[Json, Arrays]  # what an operation tells: JSON, and arrays
Described: TypeAlias = dict[str, Json]  # a layer, a model or a callback as JSON


def layer_of(described: Described) -> Json:
    """One layer: its kind (a name of the shim, or a class of the caller's) with its options."""
    options = {key: value for key, value in described.items() if key not in ("kind", "from")}
    if described["kind"] == "TiedHead":
        options["embedding"] = None  # known when all layers are
    options.pop("masked", None)
    if described["kind"] == "Bidirectional":
        inner = options.pop("layer")
        return shim.Bidirectional(lambda: layer_of(inner), **options)
    if described["kind"] == "TimeDistributed":
        options["layer"] = layer_of(options["layer"])
    kind = described["kind"]
    return getattr(shim, kind)(**options) if isinstance(kind, str) else kind(**options)


def tie(described: list[Described], layers: list[Json]) -> None:
    """Each head and the embedding whose table it has."""
    by_name = {layer.name: layer for layer in layers}
    for each, layer in zip(described, layers, strict=True):
        if "embedding" in each:
            layer.embedding = by_name[each["embedding"]]


def model_of(described: Described, backend: str) -> shim.Model:
    """A Sequential where every layer reads the one before it, a graph otherwise."""
    settings = {"backend": backend, **described.get("settings", {})}
    layers: list[Json] = []
    for each in described["layers"]:  # one of an earlier name is that layer, applied once more
        same = [layer for layer in layers if layer.name == each.get("again")]
        layers.append(same[0] if same else layer_of(each))
    tie(described["layers"], layers)
    if not any("from" in each for each in described["layers"]):
        return shim.Sequential(layers, inputs=described["inputs"][0], **settings)
    values = [shim.Input(shape) for shape in described["inputs"]]
    starts = list(values)
    for layer, each in zip(layers, described["layers"], strict=True):
        sources = [values[at] for at in each.get("from", [len(values) - 1])]
        mask = {"mask": sources.pop()} if each.get("masked") else {}
        values.append(layer(sources if len(sources) > 1 else sources[0], **mask))
    return shim.Model(starts if len(starts) > 1 else starts[0], values[-1], **settings)


def made(described: Json) -> Json:
    """An object of the shim by its name and its arguments: an optimizer, a schedule, a callback; else the value."""
    if isinstance(described, list) and len(described) == 2 and isinstance(described[1], dict):
        name, options = described
        return getattr(shim, name)(**{key: made(value) for key, value in options.items()})
    return described


class Schedule:
    """A learning rate for each epoch, from a list."""

    def __init__(self, rates: list[float]) -> None:
        self.rates = rates

    def __call__(self, epoch: int) -> float:
        return self.rates[epoch]


class Lines(shim.Callback):
    """Notes the calls that `fit` makes, with the epoch that each names."""

    def __init__(self) -> None:
        self.notes: list[Json] = []

    def begin(self, model: Model, epochs: int) -> None:
        self.notes.append(["begin", epochs])

    def before_epoch(self, model: Model, epoch: int) -> None:
        self.notes.append(["before", epoch])

    def after_epoch(self, model: Model, epoch: int, logs: dict[str, float]) -> None:
        self.notes.append(["after", epoch, sorted(logs)])

    def end(self, model: Model) -> None:
        self.notes.append(["end"])


def noisy(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An augmentation that a script may ask for."""
    return x + rng.normal(size=x.shape)


def spoil(arrays: Arrays) -> Arrays:
    """Copies; the arrays are written over, as whoever holds them may: a model that shares them would be broken."""
    copies = {name: np.array(array) for name, array in arrays.items()}
    for array in arrays.values():
        array.fill(np.nan)
    return copies


class Session:
    """A model, and the calls of a script on it."""

    def __init__(self, described: Described, backend: str, arrays: Arrays) -> None:
        self.described, self.backend, self.arrays = described, backend, arrays
        self.model = model_of(described, backend)
        self.callbacks: dict[str, shim.Callback] = {}  # those that have a key, to be used again

    def do(self, name: str, arguments: Described) -> Answer:
        """One call: what it tells, and its arrays."""
        given = {key: self.value(value) for key, value in arguments.items()}
        call: Callable[..., Answer] = getattr(self, f"do_{name}")
        return call(**given)

    def value(self, given: Json) -> Json:
        if isinstance(given, dict) and set(given) == {"array"}:
            return self.arrays[given["array"]]
        if isinstance(given, dict) and set(given) == {"numbers"}:  # a table whose keys are integers
            return {int(key): value for key, value in given["numbers"].items()}
        return [self.value(each) for each in given] if isinstance(given, list) else given

    def under(self, prefix: str) -> Arrays:
        """The arrays of the request whose names begin so."""
        return {name[len(prefix) :]: array for name, array in self.arrays.items() if name.startswith(prefix)}

    def do_compile(self, optimizer: Json, loss: str, metrics: Sequence[str] = ()) -> Answer:
        self.model.compile(optimizer=made(optimizer), loss=loss, metrics=metrics)
        return None, {}

    def do_set_weights(self, prefix: str) -> Answer:
        given = {name: np.array(array) for name, array in self.under(prefix).items()}
        self.model.set_weights(given)
        self.model.get_weights()  # until now an engine may not have read them yet
        spoil(given)
        return None, {}

    def do_unroll(self, unroll: bool | None) -> Answer:
        """Recurrence as straight code, as a loop, or (None) as the backend likes it."""
        self.model.unroll = unroll
        return None, {}

    def do_weights(self) -> Answer:
        return None, spoil(self.model.get_weights())

    def do_slots(self) -> Answer:
        return None, spoil(self.model.get_slots())

    def do_loss_scale(self, **given: Json) -> Answer:
        """The loss scale of float16, set where something is given."""
        vars(self.model.loss_scale).update(given)
        return None, numbers(vars(self.model.loss_scale))

    def do_facts(self) -> Answer:
        """Counters, the random stream, the roles of the weights and what stands in the summary's last line."""
        model = self.model
        shapes = {name: list(weight.shape) for name, weight in model.declared.items()}
        stream = model.rng.bit_generator.state
        told = {"t": model.t, "epoch": model.epoch, "stop": model.stop, "stream": stream, "shapes": shapes}
        rates = {name: rate for layer in model.layers for name, (rate, _) in layer.drops().items()}
        texts: list[str] = []
        model.summary(print_fn=texts.append)
        last = texts[0].splitlines()[-1]
        return {**told, "trainable": model.trainable_names(), "rates": rates, "summary": last}, {}

    def do_train_on_batch(self, x: Data, y: Data, **weights: Json) -> Answer:
        return None, numbers(self.model.train_on_batch(x, y, return_dict=True, **weights))

    def do_fit(self, x: Data, y: Data = None, callbacks: Json = (), **options: Json) -> Answer:
        """`callbacks` by their names; "Lines" notes the calls, and of an EarlyStopping its statistics are told."""
        watching = [self.callback(each) for each in callbacks]
        if options.get("augment"):
            options["augment"] = noisy
        if y is None:
            x = [tuple(batch) for batch in x]
        history = self.model.fit(x, y, callbacks=watching, **options)
        told = {"lines": [each.notes for each in watching if isinstance(each, Lines)]}
        stopping = [each for each in watching if isinstance(each, shim.EarlyStopping)]
        told["stopping"] = [[each.best_epoch, each.best, each.waited] for each in stopping]
        return told, {name: np.asarray(values) for name, values in history.items()}

    def callback(self, described: Json) -> shim.Callback:
        name, options = described
        if key := options.get("key"):
            rest = {other: value for other, value in options.items() if other != "key"}
            if key not in self.callbacks:
                self.callbacks[key] = self.callback([name, rest])
            return self.callbacks[key]
        if name == "Lines":
            return Lines()
        return shim.LearningRate(Schedule(**options)) if name == "LearningRate" else made(described)

    def do_evaluate(self, x: Data, y: Data, **options: Json) -> Answer:
        return None, numbers(self.model.evaluate(x, y, return_dict=True, **options))

    def do_predict(self, x: Data, **options: Json) -> Answer:
        outputs = self.model.predict(x, **options)
        return str(outputs.dtype), {"outputs": outputs}

    def do_extend(self, x: Data, pieces: list[int]) -> Answer:
        """A sequence in pieces, each of which goes on from those before it: the outputs of all its places."""
        cache, cuts = shim.KeyValueCache(), np.cumsum(pieces)[:-1]
        parts = [self.model.extend(part, cache) for part in np.split(x, cuts, axis=1)]
        return None, {"outputs": np.concatenate(parts, 1)}

    def do_freeze(self, names: list[str], trainable: bool = False) -> Answer:
        for layer in self.model.layers:
            if layer.name in names:
                layer.trainable = trainable
        return None, {}

    def do_save(self, path: str) -> Answer:
        self.model.save(path)
        return None, {}

    def do_load(self, path: str) -> Answer:
        self.model.load(path)
        return None, {}

    def do_new(self, seed: int = 99) -> Answer:
        """Another model of the same description in the place of the first."""
        settings = {**self.described.get("settings", {}), "seed": seed}
        self.model = model_of({**self.described, "settings": settings}, self.backend)
        return None, {}

    def do_to(self, **where: Json) -> Answer:
        self.model.to(**where)
        return None, {}

    def do_text(self, path: str) -> Answer:
        """What a file holds."""
        return Path(path).read_text(encoding="utf-8"), {}

    def do_file(self, path: str) -> Answer:
        """What a saved model holds."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return json.loads(str(arrays.pop("facts"))), arrays

    def do_augment(self, x: Data, seed: int, **options: Json) -> Answer:
        return None, {"images": shim.Augment(**options)(x, np.random.default_rng(seed))}

    def do_estimator(self, kind: str, x: Data, y: Data, **options: Json) -> Answer:
        """scikit-learn's estimator, trained: its weights and what it predicts."""
        arrays = {key: made(value) for key, value in options.items()}
        estimator = getattr(shim, kind)(backend=self.backend, **arrays).fit(x, y)
        found = {"predicted": estimator.predict(x), "loss": np.asarray(estimator.history_["loss"])}
        if kind == "Classifier":
            found["shares"] = estimator.predict_proba(x)
        return estimator.seed_, {**estimator.weights_, **found}

    def do_draw(self, name: str, shape: list[int], seed: int, count: int) -> Answer:
        """First weights, drawn `count` times from one stream."""
        from impls.shim.initializers import initializer

        rng = np.random.default_rng(seed)
        return None, {"values": np.stack([initializer(name)(rng, tuple(shape)) for _ in range(count)])}


def numbers(logs: dict[str, float]) -> Arrays:
    return {name: np.asarray(value, np.float64) for name, value in logs.items()}


def answer(body: Described, arrays: Arrays, backend: str) -> tuple[list[object], Arrays]:
    """The whole script: what each call tells, and all arrays."""
    session = Session(body["model"], backend, arrays)
    told: list[object] = []
    found: Arrays = {}
    for at, (name, arguments) in enumerate(body["calls"]):
        words, results = session.do(name, arguments)
        told.append(words)
        found.update((f"{at}/{key}", np.asarray(value)) for key, value in results.items())
    return told, found


def note_test(name: str) -> None:
    """Where lines are counted (`suites.mutants`), count them for the test that asks."""
    measured = sys.modules.get("coverage")
    running = measured.Coverage.current() if measured else None
    if running is not None:
        running.switch_context(name)


def main(backend: str) -> None:
    """Answer scripts from standard input until it ends."""
    replies, requests = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # whatever a framework prints must not get into the answers
    while True:
        try:
            body, arrays = protocol.read(requests)
        except EOFError:
            if "coverage" in sys.modules:  # it writes at the end what it has counted
                return
            os._exit(0)  # to take an engine down takes as long as to start it
        note_test(body.get("test", ""))
        try:
            told, found = answer(body, arrays, backend)
            protocol.write(replies, {"ok": True, "told": told}, found)
        except Exception as error:
            protocol.write(replies, {"ok": False, "error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main(sys.argv[1])
