"""Models: networks that are trained, made of a chain of layers or of a graph, and moved, saved and loaded."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from impls.shim import data, fitting, generation, heads, judging, optimizer_state, predicting, saving, training
from impls.shim.autotune import Chooser
from impls.shim.backends.contract import Array, Backend, Carry, Function
from impls.shim.batches import BATCH
from impls.shim.callbacks import Callback
from impls.shim.config import backend_module, looked_up
from impls.shim.data import Data
from impls.shim.fitting import History, Validation
from impls.shim.heads import Head, Measured
from impls.shim.keras_names import MEMBERS
from impls.shim.key_value_cache import KeyValueCache
from impls.shim.layer import Symbol
from impls.shim.loss_scale import LossScale
from impls.shim.losses import Loss
from impls.shim.metrics import Metric
from impls.shim.network import DTYPES, Network, Outputs, Plan, graph
from impls.shim.optimizers import Optimizer, optimizer_of
from impls.shim.trained import Predicted


class Model(Network):
    """A graph of layers from one `Input`, or a list of them, to one output, or a list or dictionary of them.

    What several outputs are called, in losses, labels and the history, says the dictionary, or their layers do.
    `backend`, `mode`, `dtype` and `device` can be changed later by `to`. Weights have canonical names
    (`layer/weight`) and Keras's layouts wherever they go in or come out. A mixed dtype keeps weights, optimizer,
    normalisation and loss in float32 and computes the other layers in 16 bits.
    """

    def __init__(
        self, inputs: Symbol | Sequence[Symbol] | Plan, outputs: Outputs = None, backend: str | None = None,
        mode: str | None = None, dtype: str = "float32", device: str = "cpu", seed: int | None = None, name: str = "",
    ) -> None:  # fmt: skip
        plan = inputs if isinstance(inputs, Plan) else graph(inputs, outputs)
        super().__init__(plan, backend, mode, dtype, device, seed)
        self.name = name
        self.history: History | None = None  # of the last `fit`
        self.optimizer: Optimizer | None = None
        self.loss: Loss = None  # type: ignore[assignment]  # until it is compiled
        self.metrics: tuple[str | Metric, ...] = ()
        self.judged: Measured = ()  # the functions of the metrics, by name
        self.weighted: Measured = ()
        self.heads: tuple[Head, ...] = ()  # how each of several outputs is judged
        self.compiled: dict[object, Function] = {}
        self.t = 0  # updates done
        self.epoch = 0  # where the last `fit` ended
        self.traces = 0  # how often Python ran inside a compiled function
        self.choices: dict[str, str] = {}  # what `auto` chose, by the kind of call
        self.unroll: bool | None = None
        self.learning_rate: float | None = None  # where a callback sets it; the optimizer's otherwise
        self.stop = False
        self.loss_scale = LossScale()  # used in mixed_float16 alone

    if not TYPE_CHECKING:  # a type checker shall know what is there

        def __getattr__(self, name: str) -> NoReturn:
            if name in MEMBERS:
                raise AttributeError(f"a model of the shim has no {name!r}: {MEMBERS[name]}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # -- compiling -----------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Optimizer | str = "rmsprop",
        loss: Any = None,
        metrics: Any = (),
        *,
        loss_weights: Any = None,
        weighted_metrics: Any = (),
    ) -> None:
        """Choose optimizer, loss and metrics, by name or as objects, and start the optimizer afresh.

        Nothing is traced yet. Names are ours or Keras's: "adam", "mse", "sparse_categorical_crossentropy", "accuracy".
        Of several outputs the loss is one for all, a list or a dictionary by their names; so are `metrics`, lists of
        them. The loss of a step is the sum of theirs, each times its `loss_weights`. `weighted_metrics` are metrics
        whose mean is that of weighted examples.
        """
        before = self.optimizer, self.loss, self.metrics, self.weighted, self.heads
        chosen = optimizer_of(optimizer), *judging.judges(self, loss, metrics, loss_weights, weighted_metrics)
        same = chosen == before
        self.optimizer, self.loss, self.metrics, self.weighted, self.heads = chosen
        self.judged = () if self.heads else heads.measured(self.metrics, self.loss)
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
        optimizer_state.start_again(self, self.optimizer)

    @property
    def measures(self) -> list[Metric]:
        """The functions of the metrics."""
        return [metric for _, metric in self.judged]

    @property
    def weighted_measures(self) -> list[Metric]:
        """The functions of the weighted metrics."""
        return [metric for _, metric in self.weighted]

    @property
    def labels(self) -> list[tuple[str, bool]]:
        """The names of the values of a batch, and whether a value is followed by what its weights sum up to."""
        return judging.labels(self)

    def _compiled(self) -> Optimizer:
        if self.optimizer is None:
            raise ValueError("the model is not compiled: call compile(optimizer=..., loss=...) first")
        return self.optimizer

    def ready(self, x: Data) -> Backend:
        """Backend, shapes and slots in place; returns the backend."""
        if not self.plan:
            raise ValueError("the model has no layers: add(layer), or a list of them to begin with")
        if self.input_shape is None:
            self.build(np.shape(x)[1:])
        B = self.bind()
        if self.optimizer is not None and self.optimizer.all_slots and not self.carry["slots"]:
            self.set_slots(self.fresh_slots(), self.t)
        return B

    def fresh_slots(self) -> dict[str, np.ndarray]:
        """The slots that an optimizer starts with, canonical."""
        return optimizer_state.fresh_slots(self, self._compiled())

    def get_slots(self) -> dict[str, np.ndarray]:
        """The optimizer's slots, `slot/layer/weight`, in canonical layout."""
        return optimizer_state.get_slots(self)

    def set_slots(self, slots: dict[str, np.ndarray], t: int) -> None:
        """Put slots in and set the number of updates done."""
        self.t = t
        optimizer_state.set_slots(self, slots)

    def training_step(self, names: Sequence[str]) -> Function:
        """`step(carry, rates, columns)` -> `(carry, values)`, pure; `columns` are called `names`."""
        self._compiled()
        return training.training_step(self, names)

    def inference(self, names: Sequence[str] = ()) -> Function:
        """`function(carry, columns)` in inference mode, pure: the outputs, or the loss and metrics of named columns."""
        return training.inference(self, names)

    def function(self, kind: str, names: tuple[str, ...] = ()) -> Function:
        """The compiled form of a step, an epoch, an evaluation or a prediction; compiled once."""
        key = kind, names
        if key not in self.compiled:
            self.compiled[key] = Chooser(self, kind, names) if self.mode == "auto" else self.form(kind, names)
        return self.compiled[key]

    def form(self, kind: str, names: Sequence[str]) -> Function:
        """One kind of call in the model's mode, not compiled before its first call."""
        return training.form(self, kind, names)

    # -- single calls --------------------------------------------------------------------------------------------

    def native(self, value: Data) -> Array:
        """An array of the backend on the model's device: floats in the model's dtype."""
        return self.B.array(np.asarray(value), self.dtype, self.device)

    def parameters(self) -> Carry:
        """What an inference reads."""
        return {"weights": self.carry["weights"], "state": self.carry["state"]}

    def step(self, *columns: Array, names: tuple[str, ...] = ("x", "y")) -> Array:
        """One training step on native arrays called `names`; the native loss, without waiting for it.

        In float16 it is waited for: what comes next depends on whether the update was done.
        """
        if self.scaled:
            with np.errstate(over="ignore", invalid="ignore"):
                return self._scaled_step(columns, names)
        return self._step(columns, names)

    def _step(self, columns: tuple[Array, ...], names: tuple[str, ...]) -> Array:
        call = self.function("step", names)
        self.t += 1
        self.carry, value = call(self.carry, self._compiled().rates(self.t, self.learning_rate), columns)
        return value

    def _scaled_step(self, columns: tuple[Array, ...], names: tuple[str, ...]) -> Array:
        """A step with the loss scaled; the loss and metrics, and an update that was left out is not counted."""
        scale = self.native(np.array(self.loss_scale.value, self.dtype))
        value = self._step((*columns, scale), (*names, "scale"))
        *found, finite = self.B.numpy(value)
        self.loss_scale.follow(bool(finite))
        if not finite:
            self.t -= 1
        return np.array(found) if found[1:] else found[0]

    @property
    def scaled(self) -> bool:
        """Whether the loss is scaled, as float16 needs it."""
        return bool(self.compute == "float16")

    def step_on(self, columns: dict[str, np.ndarray]) -> Array:
        """One training step on columns of NumPy arrays, with the noise of what drops."""
        columns = {**columns, **data.noise(self, columns)}
        return self.step(*[self.native(column) for column in columns.values()], names=tuple(columns))

    def call(self, x: Array) -> Array:
        """Inference on a native array."""
        return self.function("predict")(self.parameters(), (x,))

    def __call__(self, x: Data, training: bool | None = None) -> Array:
        """Inference on arrays: the backend's own array. On a symbol (a list of them): the model as part of another."""
        if training:
            raise ValueError("a model is called in inference: train_on_batch and fit train")
        if isinstance(x, Symbol):
            return self.within([x])
        if isinstance(x, (list, tuple)) and x and isinstance(x[0], Symbol):
            return self.within(x)
        self.ready(x)
        columns = data.inputs(self, x)
        found = self.function("predict")(self.parameters(), tuple([self.native(column) for column in columns.values()]))
        return self.packed(found) if self.outputs else found

    @property
    def stop_training(self) -> bool:
        """Keras's name of `stop`."""
        return self.stop

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self.stop = value

    def train_on_batch(
        self, x: Data, y: Data = None, sample_weight: Data = None, class_weight: Data = None, return_dict: bool = False
    ) -> Any:
        """One training step; the loss before it, or a list of it and the metrics, or all by their names."""
        self._compiled()
        B = self.ready(x)
        columns = data.columns(self, x, y, sample_weight, class_weight)
        return predicting.as_keras(self.named(B.numpy(self.step_on(columns))), return_dict)

    def named(self, values: Array, prefix: str = "") -> dict[str, float]:
        """The loss and the metrics, in their order, by their names; those of several outputs as Keras orders them."""
        return judging.named(self, values, prefix)

    def rates(self, steps: int) -> np.ndarray:
        """The rates of the next `steps` updates, which count as done: (steps, rates), in the model's dtype."""
        first = self.t + 1
        self.t += steps
        return self._compiled().table(first, steps, self.learning_rate, self.dtype)

    # -- many examples -------------------------------------------------------------------------------------------

    def fit(
        self, x: Data, y: Data = None, batch_size: int | None = None, epochs: int = 1, verbose: str | int = "auto",
        callbacks: Callback | Sequence[Callback] | None = (), validation_split: float = 0.0,
        validation_data: Data = None, shuffle: bool = True, class_weight: Data = None, sample_weight: Data = None,
        initial_epoch: int = 0, steps_per_epoch: int | None = None, validation_steps: int | None = None,
        validation_batch_size: int | None = None, validation_freq: int | Sequence[int] = 1, *,
        augment: fitting.Changed | None = None,
        resume: bool = False,
    ) -> History:  # fmt: skip
        """Train epochs `initial_epoch` to `epochs`, as Keras's `fit` does: called again, it trains as many once more.

        `x` and `y` are arrays, tensors or pandas frames; or `x` is an iterable of batches (x, y) or (x, y, weights): a
        list, a generator, a tf.data.Dataset, a torch DataLoader, a Keras PyDataset. Returns the `History`: for "loss"
        and each metric the mean over the examples of each epoch.
        `verbose`: "auto" shows a bar on a terminal and nothing elsewhere, 0 nothing, 1 a bar, 2 a line an epoch.
        `augment` changes the images of each epoch: an `Augment`, or any function `(x, rng)`.
        `resume`: go on where the last `fit` ended, of this model or of the one that was saved, up to `epochs` in total.
        """
        self._compiled()
        batch_size = BATCH if batch_size is None else batch_size
        if batch_size < 1:
            raise ValueError(f"batch_size is at least 1, got {batch_size}")
        first = self.epoch if resume else initial_epoch
        if resume and first >= epochs:
            warnings.warn(f"nothing is left to train: {first} of {epochs} epochs are done", stacklevel=2)
        order = fitting.Order(batch_size, shuffle, augment, steps_per_epoch, class_weight)
        held: Data = None
        if y is not None:
            split = 0.0 if validation_data is not None else validation_split
            epoch_of, held = fitting.epochs_of_data(self, x, y, sample_weight, split, order)
        elif sample_weight is None and not validation_split:
            epoch_of = fitting.epochs_of_iterable(self, x, epochs - first, order)
        else:
            raise ValueError("an iterable of batches takes no sample_weight and no validation_split: give (x, y, w)")
        judged = fitting.judged_batches(
            self, validation_data, held, validation_batch_size or batch_size, validation_steps
        )
        validation = Validation(judged, validation_freq) if judged else None
        shown = fitting.with_progress(verbose, callbacks)
        self.history = fitting.train(self, epoch_of, first, epochs, shown, validation)
        return self.history

    def evaluate(
        self, x: Data, y: Data = None, batch_size: int | None = None, verbose: str | int = "auto",
        sample_weight: Data = None,
        steps: int | None = None, return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """Loss and metrics in inference mode, the mean over the examples of arrays, or of an iterable of batches.

        `steps`: of so many batches, of `batch_size` or 32. Returns the loss, or a list of it and the metrics, or with
        `return_dict` all by their names.
        """
        self._compiled()
        batches = fitting.batches_of(self, x, y, sample_weight, batch_size, steps)
        return predicting.as_keras(fitting.judged(self, batches), return_dict)

    def predict(
        self, x: Data, batch_size: int | None = None, verbose: str | int = "auto", steps: int | None = None
    ) -> Any:
        """Outputs in inference mode as NumPy: of arrays, or of an iterable of batches, whose labels are left out.

        An array, or of a model of several outputs a list or a dictionary of them, as it was made. `steps`: of so many
        batches, of `batch_size` or 32.
        """
        return predicting.predict(self, x, batch_size, steps)

    def predict_on_batch(self, x: Data) -> Predicted:
        """`predict` of one batch, whatever its size."""
        return self.predict(x, batch_size=sys.maxsize)

    def test_on_batch(self, x: Data, y: Data = None, sample_weight: Data = None, return_dict: bool = False) -> Any:
        """`evaluate` of one batch."""
        return self.evaluate(x, y, sys.maxsize, sample_weight=sample_weight, return_dict=return_dict)

    def extend(self, x: Data, cache: KeyValueCache) -> np.ndarray:
        """Outputs at the places that follow those in `cache`, `KeyValueCache()` at first: (N, T) to (N, T, ...).

        Attention computes no key and no value a second time; the cache takes those of `x` in. Raises ValueError for a
        layer whose outputs at earlier places would change, or that mixes places in another way (an LSTM).
        """
        self.ready(x)
        return generation.extend(self, x, cache)

    # -- moving and saving ---------------------------------------------------------------------------------------

    def to(
        self, backend: str | None = None, mode: str | None = None, dtype: str | None = None, device: str | None = None
    ) -> Model:
        """Move the model, its weights and its optimizer's slots to another backend, mode, dtype or device."""
        self._known(mode, backend_module(backend) if backend else self.B)
        types = looked_up("dtype", dtype, DTYPES) if dtype else (self.dtype, self.compute)
        held = (self.get_weights(), self.get_slots()) if self.carry else None
        self.backend_argument = backend or self.backend_argument
        self.mode_argument = mode or (None if backend else self.mode_argument)
        self.dtype, self.compute = types
        self.heads = tuple([dataclasses.replace(head, dtype=self.dtype) for head in self.heads])
        self.device = device or self.device
        self.B, self.carry, self.compiled = None, None, {}  # type: ignore[assignment]
        if held:
            self.initial, slots = held
            self.set_slots(slots, self.t)
        return self

    def save(self, path: str | Path) -> None:
        """Write weights, optimizer state, counts of updates and epochs and the random stream to an .npz file.

        It is atomic: at any moment the old file is there or the new one.
        """
        saving.save(self, path)

    def load(self, path: str | Path) -> None:
        """Put what `save` wrote into this model of the same layers; into its optimizer too, if it is compiled.

        Raises ValueError, before anything is changed, where the file is no saved model or its shapes differ.
        """
        saving.load(self, path)

    def save_weights(self, path: str | Path) -> None:
        """Write the weights alone to an .npz file, by their names; see `save`."""
        saving.save_weights(self, path)

    def load_weights(self, path: str | Path) -> None:
        """Put the weights of a file of `save_weights`, or of `save`, into this model of the same layers."""
        saving.load_weights(self, path)

    def summary(self, print_fn: Callable[[str], object] = print) -> None:
        """Print a table of the layers: name, kind, output shape and number of parameters.

        `print_fn` takes the text in place of `print`, as in Keras: `model.summary(print_fn=lines.append)`.
        """
        print_fn(saving.summary(self))
