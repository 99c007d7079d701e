"""Training: one step as a pure function, compiled by the backend alone or as the body of a whole epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from impls.shim.layers import Run
from impls.shim.losses import loss_function
from impls.shim.metrics import metric_function
from impls.shim.optimizers import Optimizer

PREDICT_BATCH = 4096


class Trainer:
    """What a model does with data. Weights, statistics and slots travel through a step as one `carry`."""

    B: Any
    carry: Any
    dtype: str
    device: str
    mode: str
    rng: np.random.Generator
    input_shape: Any
    output_shape: Any
    layers: Any
    declared: Any
    apply: Callable[..., Any]
    build: Callable[..., Any]
    _bind: Callable[..., Any]
    _compare: Callable[..., Any]
    trainable_names: Callable[..., Any]

    def _reset_training(self) -> None:
        self.optimizer: Optimizer | None = None
        self.loss: Any = None
        self.metrics: tuple[Any, ...] = ()
        self.compiled: dict[Any, Any] = {}
        self.t = 0
        self.rate_scale = 1.0

    def compile(self, optimizer: Optimizer, loss: Any, metrics: Sequence[Any] = ()) -> None:
        """Choose optimizer, loss and metrics, and start the optimizer afresh. Nothing is traced yet."""
        chosen = optimizer, loss_function(loss), tuple(metrics)
        [metric_function(name) for name in metrics]
        same = chosen == (self.optimizer, self.loss, self.metrics)
        self.optimizer, self.loss, self.metrics = chosen
        self.t, self.rate_scale = 0, 1.0
        if self.carry is None:
            return
        if not same or set(self.carry["weights"]) != set(self.trainable_names()):
            self._partition()
            return
        B, slots = self.B, self.carry["slots"]
        for name, old in slots.items():
            start = self.optimizer.start(name.split("/", 1)[0])
            slots[name] = B.assign(old, B.zeros_like(old) + start if start else B.zeros_like(old))

    def _partition(self) -> None:
        """Sort the weights into trained and frozen ones and make fresh slots; what was compiled is void."""
        native = {**self.carry["weights"], **self.carry["state"]}
        trainable = self.trainable_names()
        self.compiled = {}
        self.carry = {
            "weights": {name: native[name] for name in trainable},
            "state": {name: value for name, value in native.items() if name not in trainable},
            "slots": {},
        }
        self._make_slots()

    def _fresh_slots(self) -> dict[str, np.ndarray]:
        optimizer, declared = self._compiled(), self.declared
        names = self.trainable_names()
        return {f"{s}/{n}": np.full(declared[n].shape, optimizer.start(s)) for s in optimizer.slots for n in names}

    def _native_slot(self, name: str, value: Any) -> Any:
        return self.B.variable(value, self.declared[name.split("/", 1)[1]].role, self.dtype, self.device)

    def _make_slots(self) -> None:
        slots = self.carry["slots"]
        slots.update((name, self._native_slot(name, value)) for name, value in self._fresh_slots().items())

    def get_slots(self) -> dict[str, np.ndarray]:
        """The optimizer's slots, `slot/layer/weight`, in canonical layout."""
        B, declared = self._bind(), self.declared
        roles = {name: declared[name.split("/", 1)[1]].role for name in self.carry["slots"]}
        return {name: np.array(B.numpy(value, roles[name])) for name, value in self.carry["slots"].items()}

    def set_slots(self, slots: dict[str, np.ndarray], t: int) -> None:
        """Put slots in and set the number of updates done."""
        self._bind()
        self.t, held = t, self.carry["slots"]
        for name, value in slots.items():
            native = self._native_slot(name, value)
            held[name] = self.B.assign(held[name], native) if name in held else native

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
            self._make_slots()
        return B

    def training_step(self, names: Sequence[str]) -> Callable[..., Any]:
        """`step(carry, rates, columns)` -> `(carry, values)`, pure; `columns` are called `names`."""
        B, optimizer, loss = self.B, self._compiled(), self.loss
        metrics = [metric_function(name) for name in self.metrics]

        def objective(weights: Any, state: Any, columns: Sequence[Any]) -> Any:
            data = dict(zip(names, columns))
            x, y, w = data.pop("x"), data.pop("y"), data.pop("w", None)
            run = Run(True, data)
            outputs = self.apply({**state, **weights}, x, run)
            return loss(B, y, outputs, w), (run.updates, [metric(B, y, outputs) for metric in metrics])

        differentiate = B.value_and_grad(objective, self.mode)

        def step(carry: Any, rates: Any, columns: Sequence[Any]) -> Any:
            state = carry["state"]
            (value, (updates, extra)), grads = differentiate(carry["weights"], state, columns)
            weights, slots = optimizer.apply(B, carry["weights"], grads, carry["slots"], rates)
            state = {name: B.assign(old, updates[name]) if name in updates else old for name, old in state.items()}
            return {"weights": weights, "state": state, "slots": slots}, B.stack([value, *extra]) if extra else value

        return step

    def inference(self, carry: Any, columns: Sequence[Any]) -> Any:
        """Outputs in inference mode, pure."""
        return self.apply({**carry["state"], **carry["weights"]}, columns[0], Run(False))

    def _call(self, kind: str, names: tuple[str, ...] = ()) -> Callable[..., Any]:
        """The compiled form of a step, an epoch or an inference; compiled once."""
        key = kind, names
        if key not in self.compiled:
            function = self.inference if kind == "inference" else self.training_step(names)
            compiler = {"step": self.B.compile, "epoch": self.B.compile_epoch, "inference": self.B.compile_inference}
            self.compiled[key] = compiler[kind](function, self.carry, self.mode)
        return self.compiled[key]

    def native(self, value: Any) -> Any:
        """An array of the backend on the model's device: floats in the model's dtype."""
        return self.B.array(np.asarray(value), self.dtype, self.device)

    def step(self, x: Any, y: Any) -> Any:
        """One training step on native arrays; the native loss, without waiting for it."""
        call = self._call("step", ("x", "y"))
        self.t += 1
        self.carry, value = call(self.carry, self._compiled().rates(self.t, self.rate_scale), (x, y))
        return value

    def call(self, x: Any) -> Any:
        """Inference on a native array."""
        carry = self.carry
        return self._call("inference")({"weights": carry["weights"], "state": carry["state"]}, (x,))

    def train_on_batch(self, x: Any, y: Any) -> float:
        """One training step; the loss before it."""
        self._ready(x)
        return float(self.B.numpy(self.step(self.native(x), self.native(y))))

    def fit(
        self, x: Any, y: Any, epochs: int = 1, batch_size: int = 32, shuffle: bool = True
    ) -> dict[str, list[float]]:
        """Train; the history: for "loss" and each metric the mean over the examples of each epoch."""
        B = self._ready(x)
        count, columns = len(x), (self.native(x), self.native(y))
        call = self._call("epoch", ("x", "y"))
        totals = []
        for _ in range(epochs):
            rates = self._rates(-(-count // batch_size))
            self.carry, total = call(self.carry, rates, columns, batch_size)
            totals.append(total)
        means = [np.atleast_1d(B.numpy(total)) / count for total in totals]  # the only wait
        names = ["loss", *(getattr(name, "__name__", name) for name in self.metrics)]
        return {name: [float(mean[at]) for mean in means] for at, name in enumerate(names)}

    def _rates(self, steps: int) -> Any:
        """The rates of the next `steps` updates: (steps, rates), in the model's dtype."""
        t = np.arange(self.t + 1, self.t + steps + 1, dtype=float)
        self.t += steps
        rates = self._compiled().rates(t, self.rate_scale)
        return np.stack([np.broadcast_to(rate, t.shape) for rate in rates], 1).astype(self.dtype)

    def predict(self, x: Any, batch_size: int = PREDICT_BATCH) -> np.ndarray:
        """Outputs in inference mode as NumPy."""
        B = self._ready(x)
        parts = [self.call(self.native(x[at : at + batch_size])) for at in range(0, len(x), batch_size)]
        return np.concatenate([B.numpy(part) for part in parts])
