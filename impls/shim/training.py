"""Training: one step as a pure function, compiled by the backend alone or as the body of a whole epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from impls.shim import backends, data
from impls.shim.autotune import Chooser
from impls.shim.callbacks import Callback
from impls.shim.layers import Run
from impls.shim.loss_scale import LossScale
from impls.shim.losses import average, kept, loss_function, times
from impls.shim.metrics import metric_function, share
from impls.shim.network import Network
from impls.shim.optimizers import Optimizer

PREDICT_BATCH = 4096
LARGEST = 3e38  # of the norm of finite gradients in float32


class Trainer(Network):
    """What a model does with data. Weights, statistics and slots travel through a step as one `carry`."""

    def _start(self, *settings: Any) -> None:
        super()._start(*settings)
        self.optimizer: Optimizer | None = None
        self.loss: Any = None
        self.metrics: tuple[Any, ...] = ()
        self.compiled: dict[Any, Callable[..., Any]] = {}
        self.t = self.epoch = self.traces = 0  # traces: how often Python ran inside a compiled function
        self.choices: dict[str, str] = {}  # what `auto` chose, by the kind of call
        self.unroll: bool | None = None
        self.learning_rate: float | None = None  # where a callback sets it; the optimizer's otherwise
        self.stop = False
        self.loss_scale = LossScale()  # used in mixed_float16 alone

    def compile(self, optimizer: Optimizer, loss: Any, metrics: Sequence[Any] = ()) -> None:
        """Choose optimizer, loss and metrics, and start the optimizer afresh. Nothing is traced yet."""
        chosen = optimizer, loss_function(loss), tuple(metrics)
        [metric_function(name) for name in metrics]
        same = chosen == (self.optimizer, self.loss, self.metrics)
        self.optimizer, self.loss, self.metrics = chosen
        self.t, self.epoch, self.learning_rate = 0, 0, None
        self.loss_scale = LossScale(interval=self.loss_scale.interval)
        if self.input_shape is not None and not self.trainable_names():
            raise ValueError("no layer of this model has weights to train")
        if self.carry is None:
            return
        if not same or set(self.carry["weights"]) != set(self.trainable_names()):  # what was compiled is void
            self.compiled, self.carry = {}, self._sorted({**self.carry["weights"], **self.carry["state"]})
            self.set_slots(self.fresh_slots(), 0)
            return
        B, slots = self.B, self.carry["slots"]
        zeros = B.all_zeros(list(slots.values()))
        for (name, old), zero in zip(slots.items(), zeros, strict=True):
            start = self.optimizer.start(name.split("/", 1)[0])
            slots[name] = B.assign(old, zero + start if start else zero)

    def fresh_slots(self) -> dict[str, np.ndarray]:
        """The slots that an optimizer starts with, canonical."""
        optimizer, declared = self._compiled(), self.declared
        names = self.trainable_names()
        return {f"{s}/{n}": np.full(declared[n].shape, optimizer.start(s)) for s in optimizer.slots for n in names}

    def get_slots(self) -> dict[str, np.ndarray]:
        """The optimizer's slots, `slot/layer/weight`, in canonical layout."""
        B, declared = self._bind(), self.declared
        slots = self.carry["slots"].items()
        return {name: np.array(B.numpy(value, declared[name.split("/", 1)[1]].role)) for name, value in slots}

    def set_slots(self, slots: dict[str, np.ndarray], t: int) -> None:
        """Put slots in and set the number of updates done."""
        B, declared = self._bind(), self.declared
        self.t, held = t, self.carry["slots"]
        for name, value in slots.items():
            native = B.variable(value, declared[name.split("/", 1)[1]].role, self.dtype, self.device)
            held[name] = B.assign(held[name], native) if name in held else native

    def _compiled(self) -> Optimizer:
        if self.optimizer is None:
            raise ValueError("the model is not compiled: call compile(optimizer=..., loss=...) first")
        return self.optimizer

    def _ready(self, x: Any) -> Any:
        """Backend, shapes and slots in place; returns the backend."""
        if self.input_shape is None:
            self.build(np.shape(x)[1:])
        B = self._bind()
        if self.optimizer is not None and self.optimizer.slots and not self.carry["slots"]:
            self.set_slots(self.fresh_slots(), self.t)
        return B

    def training_step(self, names: Sequence[str]) -> Callable[..., Any]:
        """`step(carry, rates, columns)` -> `(carry, values)`, pure; `columns` are called `names`.

        In float16 the last column is the loss scale, and the last value says whether the update was done.
        """
        B, optimizer, scaled = self.B, self._compiled(), self.scaled
        unroll, traced = self.unroll, self._tracing()

        def objective(weights: Any, state: Any, columns: Sequence[Any]) -> Any:
            traced()
            known = dict(zip(names, columns, strict=False))
            run = Run(True, known, unroll)
            outputs = self.apply({**state, **weights}, self._inputs(columns), run)
            values = self._scores(known, outputs, run.mask)
            return values[0] * known["scale"] if scaled else values[0], (run.updates, values)

        differentiate = B.value_and_grad(objective, self.mode)

        def step(carry: Any, rates: Any, columns: Sequence[Any]) -> Any:
            state = carry["state"]
            (loss, (updates, values)), grads = differentiate(carry["weights"], state, columns)
            if scaled:
                grads = dict(zip(grads, B.scaled(list(grads.values()), 1 / columns[-1]), strict=True))
                finite = B.global_norm(list(grads.values())) < LARGEST  # not so of NaN
                values = [*values, share(B, finite, values[0])]
            else:
                values = [loss, *values[1:]]

            def update() -> Any:
                return optimizer.apply(B, carry["weights"], grads, carry["slots"], rates)

            weights, slots = B.when(finite, update, (carry["weights"], carry["slots"])) if scaled else update()
            state = {name: B.assign(old, updates[name]) if name in updates else old for name, old in state.items()}
            return {"weights": weights, "state": state, "slots": slots}, B.stack(values) if values[1:] else values[0]

        return step

    def _inputs(self, columns: Sequence[Any]) -> Any:
        """What `apply` takes: the inputs are the first columns."""
        return columns[0] if len(self.input_names) == 1 else columns[: len(self.input_names)]

    def _scores(self, known: dict[str, Any], outputs: Any, mask: Any) -> list[Any]:
        """The loss and the metrics of a batch, without the places that a mask leaves out."""
        B, y, w, places = self.B, known["y"], known.get("w"), None
        if mask is not None and len(outputs.shape) > 2:
            places = kept(B, mask, self.dtype)
            w = times(B, w, places)
        metrics = [metric_function(name)(B, y, outputs) for name in self.metrics]
        return [self.loss(B, y, outputs, w), *(average(B, m, places) if len(m.shape) else m for m in metrics)]

    def _tracing(self) -> Callable[[], None]:
        """A call for the body of a compiled function: counts its traces."""

        def traced() -> None:
            self.traces += 1

        return (lambda: None) if self.mode == "eager" else self.B.at_trace(traced)

    def inference(self, names: Sequence[str] = ()) -> Callable[..., Any]:
        """`function(carry, columns)` in inference mode, pure: the outputs, or the loss and metrics of named columns."""
        traced, unroll = self._tracing(), self.unroll

        def function(carry: Any, columns: Sequence[Any]) -> Any:
            traced()
            run = Run(False, None, unroll)
            outputs = self.apply({**carry["state"], **carry["weights"]}, self._inputs(columns), run)
            if not names:
                return outputs
            values = self._scores(dict(zip(names, columns, strict=False)), outputs, run.mask)
            return self.B.stack(values) if len(values) > 1 else values[0]

        return function

    def _call(self, kind: str, names: tuple[str, ...] = ()) -> Callable[..., Any]:
        """The compiled form of a step, an epoch, an evaluation or a prediction; compiled once."""
        key = kind, names
        if key not in self.compiled:
            self.compiled[key] = Chooser(self, kind, names) if self.mode == "auto" else self.form(kind, names)
        return self.compiled[key]

    def form(self, kind: str, names: Sequence[str]) -> Callable[..., Any]:
        """One kind of call in the model's mode, not compiled before its first call."""
        B, carry, mode = self.B, self.carry, self.mode
        if kind == "step":
            step = self.training_step(names)
            step.ahead = self._ahead  # type: ignore[attr-defined] # for a backend that brings many rates at once
            call = B.compile(step, carry, mode)
        elif kind == "epoch":
            call = B.compile_epoch(
                self.training_step(names), carry, mode, (1 + len(self.metrics),) * bool(self.metrics)
            )
        else:
            call = B.compile_inference(self.inference(names), carry, mode)
        return call  # type: ignore[no-any-return]

    def native(self, value: Any) -> Any:
        """An array of the backend on the model's device: floats in the model's dtype."""
        return self.B.array(np.asarray(value), self.dtype, self.device)

    def step(self, *columns: Any, names: tuple[str, ...] = ("x", "y")) -> Any:
        """One training step on native arrays called `names`; the native loss, without waiting for it.

        In float16 it is waited for: what comes next depends on whether the update was done.
        """
        if self.scaled:
            names, columns = (*names, "scale"), (*columns, self.native(np.array(self.loss_scale.value, self.dtype)))
        call = self._call("step", names)
        self.t += 1
        with np.errstate(over="ignore" if self.scaled else "warn", invalid="ignore" if self.scaled else "warn"):
            self.carry, value = call(self.carry, self._compiled().rates(self.t, self.learning_rate), columns)
        return self._followed(self.B.numpy(value)) if self.scaled else value

    @property
    def scaled(self) -> bool:
        """Whether the loss is scaled, as float16 needs it."""
        return bool(self.compute == "float16")

    def _followed(self, values: np.ndarray) -> Any:
        """The loss and metrics of a step; one that was left out is not counted."""
        *found, finite = values
        self.loss_scale.follow(bool(finite))
        if not finite:
            self.t -= 1
        return np.array(found) if found[1:] else found[0]

    def call(self, x: Any) -> Any:
        """Inference on a native array."""
        return self._call("predict")(self._parameters(), (x,))

    def _parameters(self) -> dict[str, Any]:
        return {"weights": self.carry["weights"], "state": self.carry["state"]}

    def train_on_batch(self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> dict[str, float]:
        """One training step; the loss and metrics before it."""
        self._compiled()
        B = self._ready(x)
        columns = data.columns(self, x, y, sample_weight, class_weight)
        return self._named(B.numpy(self._step(columns)))

    def _step(self, columns: dict[str, np.ndarray]) -> Any:
        columns = {**columns, **data.noise(self, columns)}
        return self.step(*[self.native(column) for column in columns.values()], names=tuple(columns))

    def _named(self, values: Any, prefix: str = "") -> dict[str, float]:
        names = ["loss", *(getattr(name, "__name__", name) for name in self.metrics)]
        return {prefix + name: float(value) for name, value in zip(names, np.atleast_1d(values), strict=False)}

    def fit(
        self, x: Any, y: Any = None, epochs: int = 1, batch_size: int = 32, shuffle: bool = True,
        validation_data: Any = None, validation_split: float = 0.0, sample_weight: Any = None,
        class_weight: Any = None, callbacks: Sequence[Callback] = (), augment: Any = None,
    ) -> dict[str, list[float]]:  # fmt: skip
        """Train; the history: for "loss" and each metric the mean over the examples of each epoch.

        `x` and `y` are arrays, or `x` is an iterable of batches (a list, or any object that starts anew each epoch).
        `augment` changes the images of each epoch: an `Augment`, or any function `(x, rng)`.
        Epochs are counted on from those that the model has seen since `compile`, so that a loaded model resumes.
        """
        self._compiled()
        epoch_of = self._iterated(x, augment) if y is None else None
        held: Any = None
        if epoch_of is None:
            self._ready(x)
            columns = data.columns(self, x, y, sample_weight)
            columns, held = data.held_out(columns, 0.0 if validation_data else validation_split)
            columns = data.weighed(self, columns, columns.get("w"), class_weight)  # in training alone, as Keras has it
            epoch_of = self._epochs(columns, batch_size, shuffle, augment)
        if validation_data is not None:
            held = data.columns(self, *validation_data)
        return self._history(epoch_of, epochs, callbacks, held, batch_size)

    def _history(
        self, epoch_of: Any, epochs: int, callbacks: Any, held: Any, batch_size: int
    ) -> dict[str, list[float]]:
        """Run the epochs; without callbacks or validation nothing is waited for before the end."""
        waiting: list[Any] = []
        history: list[dict[str, float]] = []
        self.stop = False
        for callback in callbacks:
            callback.begin(self, epochs)
        while self.epoch < epochs and not self.stop:
            for callback in callbacks:
                callback.before_epoch(self, self.epoch)
            waiting.append(epoch_of())
            self.epoch += 1
            if callbacks or held:
                history += self._results(waiting)
                waiting = []
                history[-1].update(self._evaluated(held, batch_size, "val_") if held else {})
                for callback in callbacks:
                    callback.after_epoch(self, self.epoch - 1, history[-1])
        for callback in callbacks:
            callback.end(self)
        history += self._results(waiting)
        names = history[0] if history else {}
        return {name: [logs[name] for logs in history] for name in names}

    def _results(self, totals: Any) -> list[dict[str, float]]:
        return [self._named(np.asarray(self.B.numpy(total)) / count) for total, count in totals]

    def _epochs(
        self, columns: dict[str, np.ndarray], batch_size: int, shuffle: bool, augment: Any
    ) -> Callable[[], Any]:
        """A function that runs one epoch over the columns, which stay on the device."""
        if batch_size < 1:
            raise ValueError(f"batch_size is at least 1, got {batch_size}")
        count, first = data.length(columns), self.input_names[0]
        held = {name: self.native(column) for name, column in columns.items()}

        def run() -> Any:
            used = dict(held)
            if augment:
                used[first] = self.native(augment(columns[first], self.rng))
            if shuffle:
                order = self.native(self.rng.permutation(count))
                used = {name: self.B.rows(column, order) for name, column in used.items()}
            used.update((name, self.native(mask)) for name, mask in data.noise(self, columns).items())
            if self.scaled:
                return self._step_by_step(used, batch_size), count
            call = self._call("epoch", tuple(used))
            rates = self._rates(-(-count // batch_size))
            self.carry, total = call(self.carry, rates, tuple(used.values()), batch_size)
            return total, count

        return run

    def _step_by_step(self, columns: dict[str, Any], batch_size: int) -> Any:
        """An epoch of native columns in float16, where each update's rates depend on which ones were done."""
        names, total = tuple(columns), 0.0
        for parts in zip(*(backends.batches(column, batch_size) for column in columns.values()), strict=True):
            total = total + self.step(*parts, names=names) * len(parts[0])
        return total

    def _iterated(self, source: Any, augment: Any) -> Callable[[], Any]:
        """A function that runs one epoch over an iterable of batches."""
        if iter(source) is source:
            raise ValueError("a generator is empty after one epoch: give a list or an object that can start again")
        self._ready(next(iter(source))[0])

        def run() -> Any:
            total, count = 0.0, 0
            for columns in data.iterated(self, source):
                size = data.length(columns)
                if augment:
                    columns[self.input_names[0]] = augment(columns[self.input_names[0]], self.rng)
                total, count = total + self._step(columns) * size, count + size
            return total, count

        return run

    def _ahead(self, count: int) -> list[tuple[Any, ...]]:
        """The rates of this update and of those that follow it."""
        optimizer = self._compiled()
        return [optimizer.rates(t, self.learning_rate) for t in range(self.t, self.t + count)]

    def _rates(self, steps: int) -> Any:
        """The rates of the next `steps` updates: (steps, rates), in the model's dtype."""
        first = self.t + 1
        self.t += steps
        return self._compiled().table(first, steps, self.learning_rate, self.dtype)

    def evaluate(self, x: Any, y: Any, batch_size: int = 1024, sample_weight: Any = None) -> dict[str, float]:
        """Loss and metrics in inference mode, the mean over the examples."""
        self._ready(x)
        self._compiled()
        return self._evaluated(data.columns(self, x, y, sample_weight), batch_size)

    def _evaluated(self, columns: dict[str, np.ndarray], batch_size: int, prefix: str = "") -> dict[str, float]:
        call, count = self._call("evaluate", tuple(columns)), data.length(columns)
        parts = []
        for at in range(0, count, batch_size):
            part = tuple([self.native(column[at : at + batch_size]) for column in columns.values()])
            parts.append((call(self._parameters(), part), min(batch_size, count - at)))
        return self._named(sum(np.asarray(self.B.numpy(value)) * size for value, size in parts) / count, prefix)

    def predict(self, x: Any, batch_size: int = PREDICT_BATCH) -> np.ndarray:
        """Outputs in inference mode as NumPy."""
        B = self._ready(x)
        columns, call = list(data.inputs(self, x).values()), self._call("predict")
        starts = range(0, max(len(columns[0]), 1), batch_size)
        batches = (tuple([self.native(column[at : at + batch_size]) for column in columns]) for at in starts)
        parts = [call(self._parameters(), batch) for batch in batches]
        return B.numpy(parts[0]) if len(parts) == 1 else np.concatenate([B.numpy(part) for part in parts])
