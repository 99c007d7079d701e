"""A model and its training in plain NumPy: what fit, evaluate, predict and their kin have to give, call by call.

`Oracle` takes the scripts that `impls.shim.testing.script` takes, and answers under the same names. Gradients are
complex steps (Squire and Trapp 1998): Im f(w + ih) / h has no cancellation, so that it is exact to the last digits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from suites.references import layers, losses
from suites.references.callbacks import callback_of
from suites.references.defaults import DROPS, FIT
from suites.references.loss_scale import LossScale
from suites.references.optimizers import Optimizer

Arrays = dict[str, np.ndarray]
STEP = 1e-30
STATISTICS = ("moving_mean", "moving_variance")


def uses(described: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Layers with their defaults, one for each use: `again` is the name of one that is applied once more."""
    found: list[dict[str, Any]] = []
    for each in described:
        same = [layer for layer in found if layer["name"] == each.get("again")]
        found.append({**same[0], "from": each["from"], "use": len(same)} if same else layers.with_defaults(each))
    return found


def drops_of(layer: dict[str, Any]) -> str:
    """Where what a use of a layer drops is kept: each draws its own."""
    return f"{layer['name']} {layer['use']}" if "use" in layer else str(layer["name"])


def dropped(layer: dict[str, Any]) -> float:
    """The share that a layer drops, or the one that it applies at every place."""
    inner = layer["layer"] if layer["kind"] == "TimeDistributed" else layer
    return float(inner[DROPS[inner["kind"]]]) if inner["kind"] in DROPS else 0.0


class Oracle:
    """One model. `stream` is the state of its random stream where the script begins."""

    def __init__(self, described: dict[str, Any], weights: Arrays, stream: dict[str, Any]) -> None:
        self.layers = uses(described["layers"])
        self.inputs = len(described["inputs"])
        self.weights = {name: np.asarray(value, float) for name, value in weights.items()}
        self.rng = np.random.default_rng()
        self.rng.bit_generator.state = stream
        self.optimizer: Optimizer | None = None
        self.metrics: list[str] = []
        self.loss = ""
        self.epoch = 0
        self.rate: float | None = None
        self.stop = False
        self.files: dict[str, Any] = {}
        self.half = described.get("settings", {}).get("dtype") == "mixed_float16"
        self.loss_scale = LossScale()

    # -- the network ---------------------------------------------------------------------------------------------

    def outputs(self, weights: Arrays, x: list[np.ndarray], run: layers.Pass) -> np.ndarray:
        """What the last layer gives; the mask of that is left in `run`."""
        values, noise = list(x), run.noise
        masks: list[Any] = [None] * len(x)
        for layer in self.layers:
            sources = layer.get("from", [len(values) - 1])
            given = [values[at] for at in sources]
            run.masks = [masks[at] for at in sources]
            run.mask = layers.mask_of(layer["kind"], run.masks)
            own = {key.partition("/")[2]: w for key, w in weights.items() if key.startswith(layer["name"] + "/")}
            if "embedding" in layer:
                own["embeddings"] = weights[f"{layer['embedding']}/embeddings"]
            before = run.moved
            own |= {key.partition("/")[2]: w for key, w in before.items() if key.startswith(layer["name"] + "/")}
            run.noise = {**noise, layer["name"]: noise.get(drops_of(layer))}
            run.moved = {}
            y = layers.REFERENCES[layer["kind"]](layer, own, given if len(given) > 1 else given[0], run)
            run.moved = {**before, **{f"{layer['name']}/{name}": value for name, value in run.moved.items()}}
            values.append(y)
            masks.append(run.mask)
        return values[-1]

    @property
    def trained(self) -> list[str]:
        """The weights that an optimizer moves."""
        frozen = tuple(layer["name"] + "/" for layer in self.layers if not layer["trainable"])
        return [n for n in self.weights if not n.endswith(STATISTICS) and not (frozen and n.startswith(frozen))]

    def scores(self, weights: Arrays, batch: Arrays, run: layers.Pass) -> tuple[Any, list[float]]:
        """The loss, and the metrics, of a batch."""
        z = self.outputs(weights, [batch[name] for name in self.names], run)
        mask = run.mask if z.ndim > 2 else None
        loss = losses.mean(losses.LOSSES[self.loss](batch["y"], z), batch.get("w"), mask)
        found = [losses.mean(losses.metric(name, self.loss)(batch["y"], z.real), None, mask) for name in self.metrics]
        return loss, [float(value) for value in found]

    @property
    def names(self) -> list[str]:
        return ["x"] if self.inputs == 1 else [f"x/{at}" for at in range(self.inputs)]

    def gradients(self, batch: Arrays, noise: Arrays) -> Arrays:
        """The loss's slope along every weight that is trained."""
        found = {}
        for name in self.trained:
            slope = np.zeros(self.weights[name].shape)
            for at in np.ndindex(slope.shape):
                moved = self.weights[name].astype(complex)
                moved[at] += 1j * STEP
                run = layers.Pass(True, noise)
                slope[at] = self.scores({**self.weights, name: moved}, batch, run)[0].imag / STEP
            found[name] = slope
        return found

    # -- steps ---------------------------------------------------------------------------------------------------

    def train(self, batch: Arrays, noise: Arrays) -> list[float]:
        """One update; the loss and the metrics before it."""
        assert self.optimizer is not None
        run = layers.Pass(True, noise)
        loss, metrics = self.scores(self.weights, batch, run)
        grads = self.gradients(batch, noise)
        new = {}
        if not self.half or self.loss_scale.allows(grads):
            new = self.optimizer.update(self.weights, grads, self.rate)
        self.weights = {**self.weights, **new, **run.moved}
        return [float(loss.real), *metrics]

    def noise(self, count: int, extents: dict[str, tuple[int, ...]]) -> Arrays:
        """What every layer that drops keeps of every example of an epoch, in the order of the layers."""
        found = {}
        for layer in self.layers:
            rate = dropped(layer)
            if rate:
                found[drops_of(layer)] = self.rng.random((count, *extents[layer["name"]])) >= rate
        return found

    def extents(self, batch: Arrays) -> dict[str, tuple[int, ...]]:
        """The shapes of one example that the layers drop of."""
        found = {}
        for at, layer in enumerate(self.layers):
            if dropped(layer):
                shapes = [self.shape_of(batch, source) for source in layer.get("from", [self.inputs + at - 1])]
                shape = shapes[0]
                if layer["kind"] == "MultiHeadAttention":  # places of the queries, then of the values
                    shape = (layer["num_heads"], shape[0], shapes[min(1, len(shapes) - 1)][0])
                if layer["kind"] == "SpatialDropout":
                    shape = (*[1] * (len(shape) - 1), shape[-1])
                found[layer["name"]] = shape
        return found

    def shape_of(self, batch: Arrays, source: int) -> tuple[int, ...]:
        """The shape of one example of an input, or of the output of a layer behind them."""
        values = [batch[name][:1] for name in self.names]
        if source < self.inputs:
            return values[source].shape[1:]
        original = self.layers
        self.layers = original[: source - self.inputs + 1]
        y = self.outputs(self.weights, values, layers.Pass(False))
        self.layers = original
        return tuple(y.shape[1:])

    def batch_of(self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Arrays:
        """The columns of examples: weights of examples times those of their classes."""
        given = [x] if self.inputs == 1 else x
        batch = {name: np.asarray(value) for name, value in zip(self.names, given, strict=True)}
        batch["y"] = np.asarray(y)
        weight = None if sample_weight is None else np.asarray(sample_weight, float)
        if class_weight is not None:
            table = {int(key): value for key, value in class_weight.items()}
            classes = batch["y"].astype(int)
            if self.loss != "softmax_cross_entropy" and classes.ndim > 1:  # Keras: one-hot, unless it is a column
                classes = classes.argmax(-1) if classes.shape[-1] > 1 else classes[..., 0]
            of_class = np.vectorize(table.__getitem__)(classes).astype(float)
            if weight is None:
                weight = np.ones(len(of_class))
            weight = weight.reshape(weight.shape + (1,) * (of_class.ndim - weight.ndim)) * of_class
        return batch if weight is None else {**batch, "w": weight}

    def told(self, values: Any) -> Arrays:
        return {name: np.asarray(value) for name, value in zip(["loss", *self.metrics], values, strict=True)}

    # -- what a script calls -------------------------------------------------------------------------------------

    def do(self, name: str, arguments: dict[str, Any]) -> Arrays:
        call: Callable[..., Arrays | None] = getattr(self, f"do_{name}", lambda **_: None)
        return call(**arguments) or {}

    def do_compile(self, optimizer: Any, loss: str, metrics: Any = ()) -> None:
        self.optimizer, self.loss, self.metrics = Optimizer(optimizer), loss, list(metrics)
        self.optimizer.start({name: self.weights[name] for name in self.trained})
        self.epoch, self.rate = 0, None
        self.loss_scale = LossScale(interval=self.loss_scale.interval)

    def do_loss_scale(self, **given: Any) -> Arrays:
        vars(self.loss_scale).update(given)
        return {name: np.asarray(each) for name, each in vars(self.loss_scale).items()}

    def do_weights(self) -> Arrays:
        return dict(self.weights)

    def do_slots(self) -> Arrays:
        return dict(self.optimizer.slots) if self.optimizer else {}

    def do_train_on_batch(self, x: Any, y: Any, **weights: Any) -> Arrays:
        batch = self.batch_of(x, y, **weights)
        return self.told(self.train(batch, self.noise(len(batch["y"]), self.extents(batch))))

    def do_fit(self, x: Any, y: Any = None, callbacks: Any = (), **given: Any) -> Arrays:
        o = {**FIT, **given}
        watching = [callback_of(*each) for each in callbacks]
        history: list[dict[str, Any]] = []
        held, epoch_of = self.epochs_of(x, y, o)
        self.stop = False
        if not o["resume"]:
            self.epoch = o["initial_epoch"]
        for callback in watching:
            callback.begin(self)
        while self.epoch < o["epochs"] and not self.stop:
            for callback in watching:
                callback.before(self, self.epoch)
            logs: dict[str, Any] = dict(self.told(epoch_of()))
            if held is not None:
                logs.update({f"val_{n}": v for n, v in self.told(self.judged(held, o["batch_size"])).items()})
            self.epoch += 1
            for callback in watching:
                callback.after(self, self.epoch - 1, logs)
            history.append(logs)
        for callback in watching:
            callback.end(self)
        if history and self.optimizer is not None:
            self.weights.update(self.optimizer.at_the_end())
        names = history[0] if history else ()
        return {name: np.array([logs[name] for logs in history]) for name in names}

    def epochs_of(self, x: Any, y: Any, o: dict[str, Any]) -> tuple[Arrays | None, Callable[[], Any]]:
        """What is held out for validation, and a function that trains an epoch."""
        held = self.batch_of(*o["validation_data"]) if o.get("validation_data") else None
        if y is None:
            batches = [self.batch_of(*each) for each in x]
            return held, lambda: self.epoch_over(self.each_with_noise(batches, o))
        data, cut = self.batch_of(x, y, o.get("sample_weight")), len(y)
        if o["validation_split"] and not held:  # Keras: data that are given take the place of a share
            cut = int(len(y) * (1 - o["validation_split"]))
            held = {name: column[cut:] for name, column in data.items()}
        data = self.batch_of(x, y, o.get("sample_weight"), o.get("class_weight"))
        data = {name: column[:cut] for name, column in data.items()}
        return held, lambda: self.epoch_over(self.drawn(data, o))

    def drawn(self, data: Arrays, o: dict[str, Any]) -> Iterator[tuple[Arrays, Arrays]]:
        """The batches of an epoch, shuffled, with what dropout keeps of each."""
        count, size = len(data["y"]), o["batch_size"]
        data = self.augmented(data, o)
        order = self.rng.permutation(count) if o["shuffle"] else np.arange(count)
        noise = self.noise(count, self.extents(data))
        for at in range(0, count, size):
            batch = {name: column[order[at : at + size]] for name, column in data.items()}
            yield batch, {name: kept[at : at + size] for name, kept in noise.items()}

    def each_with_noise(self, batches: list[Arrays], o: dict[str, Any]) -> Iterator[tuple[Arrays, Arrays]]:
        for batch in batches:
            batch = self.augmented(batch, o)
            yield batch, self.noise(len(batch["y"]), self.extents(batch))

    def augmented(self, data: Arrays, o: dict[str, Any]) -> Arrays:
        """The examples with the noise that a script's augmentation adds, from the model's one stream."""
        if not o.get("augment"):
            return data
        first = data[self.names[0]]
        return {**data, self.names[0]: first + self.rng.normal(size=first.shape)}

    def epoch_over(self, batches: Iterator[tuple[Arrays, Arrays]]) -> Any:
        """The mean over the examples of the loss and the metrics, each before the update of its batch."""
        rows, sizes = [], []
        for batch, noise in batches:
            rows.append(self.train(batch, noise))
            sizes.append(len(batch["y"]))
        return np.average(rows, axis=0, weights=sizes)

    def judged(self, data: Arrays, size: int) -> Any:
        """The mean over the examples of the loss and the metrics, in inference mode."""
        count, rows, sizes = len(data["y"]), [], []
        for at in range(0, count, size):
            batch = {name: column[at : at + size] for name, column in data.items()}
            loss, metrics = self.scores(self.weights, batch, layers.Pass(False))
            rows.append([float(np.real(loss)), *metrics])
            sizes.append(len(batch["y"]))
        return np.average(rows, axis=0, weights=sizes)

    def do_evaluate(self, x: Any, y: Any, sample_weight: Any = None, batch_size: int = 1024) -> Arrays:
        return self.told(self.judged(self.batch_of(x, y, sample_weight), batch_size))

    def do_predict(self, x: Any, batch_size: int = 0) -> Arrays:
        given = [np.asarray(each) for each in ([x] if self.inputs == 1 else x)]
        return {"outputs": self.outputs(self.weights, given, layers.Pass(False))}

    def do_extend(self, x: Any, pieces: list[int]) -> Arrays:
        """Nothing goes on here: the whole sequence at once."""
        return self.do_predict(x)

    def do_freeze(self, names: list[str], trainable: bool = False) -> None:
        for layer in self.layers:
            if layer["name"] in names:
                layer["trainable"] = trainable

    def do_save(self, path: str) -> None:
        kept = self.weights, self.optimizer, self.epoch, self.loss_scale, self.rng.bit_generator.state
        self.files[path] = copy.deepcopy(kept)

    def do_load(self, path: str) -> None:
        kept = copy.deepcopy(self.files[path])
        self.weights, self.optimizer, self.epoch, self.loss_scale, self.rng.bit_generator.state = kept
