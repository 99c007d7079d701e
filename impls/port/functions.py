"""A model of a user in plain functions: an object with `params` (a nested dict of arrays) and `forward(params, x)`.

`forward(params, *inputs)` may take `training` (or `train`) by keyword; without it the model has one mode. In NumPy
there are no gradients, and nothing between the inputs and the outputs is seen.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
from typing import TYPE_CHECKING

import numpy as np

from impls.port.base import Port
from impls.port.errors import UserError
from impls.port.function_steps import steps_of
from impls.port.libraries import what_engines_lack
from impls.port.low_precision import is_float64, is_floating, widened, working_type
from impls.port.recorder import Trace
from impls.port.trees import flat, nested
from impls.port.weight import Weight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from impls.port.annotations import Args, Config, Function, Key, Kwargs, LossAndSlopes, Native, Natives

if importlib.util.find_spec("jax"):
    import jax

    jax.config.update("jax_enable_x64", is_float64())

MODES = ("training", "train", "is_training")
ROLES = {"scale": "gamma", "embedding": "embeddings", "mean": "moving_mean", "var": "moving_variance"}
STATE = ("batch_stats", "state", "stats")  # the folder of what an optimizer does not move


class PortOfFunctions(Port):
    conditions = staticmethod(what_engines_lack)

    def build(self) -> Native:
        model = super().build()
        if self.backend == "tensorflow":
            from impls.port import tensorflow_modules

            model = tensorflow_modules.as_functions(model)
        if not callable(getattr(model, "forward", None)) or not isinstance(getattr(model, "params", None), dict):
            raise UserError("build() has to return a model, or an object with a dict `params` and `forward(params, x)`")
        self.params = {name: self.native(np.asarray(value)) for name, value in flat(model.params).items()}
        names = inspect.signature(getattr(model, "module", model.forward)).parameters
        self.mode = next((name for name in MODES if name in names), None)
        self.model = model
        self.steps = steps_of(self)
        return model

    def has_training_mode(self) -> bool:
        """Without an argument for it, a model whose file trains it is in training what it is in inference."""
        return self.mode is not None or self.steps is not None

    def find_weights(self) -> list[Weight]:
        found = []
        for name, value in self.params.items():
            if is_floating(np.asarray(value)):
                found.append(self.weight(name))
        return found

    def weight(self, name: str) -> Weight:
        layer, _, leaf = name.rpartition("/")
        folder = name.partition("/")[0]
        state = folder in STATE and folder != leaf
        kind = "buffer" if state and leaf not in ("mean", "var") else "custom"
        role = ROLES.get(leaf, leaf)
        layer = layer.partition("/")[2] if folder in (*STATE, "params") else layer
        return Weight(layer, kind, role, [name], trainable=not state, name=name)

    def parameters_of_call(self) -> tuple[str, ...]:
        called = getattr(self.model, "module", None)  # of which `forward` was made
        if called is not None:
            return tuple(inspect.signature(called.__call__).parameters)
        return tuple(inspect.signature(self.model.forward).parameters)[1:]

    def native(self, array: np.ndarray) -> Native:
        if not is_floating(array):
            return NATIVE[self.backend](array)
        return NATIVE[self.backend](widened(array).astype(np.float64), working_type())

    def numpy(self, native: Native) -> np.ndarray:
        return widened(np.asarray(self.params[native] if isinstance(native, str) else native))

    def is_tensor(self, value: Native) -> bool:
        return hasattr(value, "shape") and hasattr(value, "dtype")

    def assign(self, tensor: Native, array: np.ndarray) -> None:
        self.params[tensor] = self.native(np.ascontiguousarray(array))

    def identities(self, weight: Weight) -> list[Key]:
        return [id(self.params[weight.tensors[0]])]

    def new_trace(self, keep: int) -> Trace:
        return Trace(np.asarray, self.files, keep)

    def sums_in_any_order(self) -> bool:
        return self.backend == "jax"

    def forward_with(self, params: Natives, args: Args, kwargs: Kwargs, training: bool) -> Native:
        options = {self.mode: training} if self.mode else {}
        with DRAWS.get(self.backend, contextlib.nullcontext)(self):
            return self.model.forward(nested(params, self.model.params), *args, **kwargs, **options)

    def call(self, args: Args, kwargs: Kwargs, training: bool) -> Native:
        if self.trace is None:
            return self.forward_with(self.params, args, kwargs, training)
        return WATCHED[self.backend](self, self.trace, args, kwargs, training)

    def has_loss(self) -> bool:
        return super().has_loss() and self.backend in GRADIENTS

    def trained(self) -> list[str]:
        return [name for weight in self.weights if weight.trainable for name in weight.tensors]

    def start_training(self) -> bool:
        if self.steps is not None:
            self.steps.start()
        return self.steps is not None

    def train(self, args: Args, kwargs: Kwargs, y: Native) -> None:
        assert self.steps is not None
        self.steps.step(args, kwargs, y)

    def describe_optimizer(self) -> Config:
        return {} if self.steps is None else self.steps.describe()

    def value_and_grads(self, args: Args, kwargs: Kwargs, y: Native, whole: bool = True) -> LossAndSlopes:
        names = self.trained()

        def objective(values: Sequence[Native]) -> Native:
            params = {**self.params, **dict(zip(names, values, strict=True))}
            return self.loss(self.forward_with(params, args, kwargs, not self.evaluating), y)

        return GRADIENTS[self.backend](objective, [self.params[name] for name in names])


def of_numpy(array: np.ndarray, dtype: str | None = None) -> np.ndarray:
    if dtype == "bfloat16":
        raise UserError("NumPy has no bfloat16")
    return np.asarray(array, dtype)


def of_tensorflow(array: np.ndarray, dtype: str | None = None) -> Native:
    import tensorflow as tf

    return tf.constant(array) if dtype is None else tf.cast(tf.constant(array), dtype)


def of_jax(array: np.ndarray, dtype: str | None = None) -> Native:
    return jax.numpy.asarray(array, dtype)


def tensorflow_gradients(objective: Function, values: list[Native]) -> LossAndSlopes:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = objective(values)
    return loss, [None if g is None else tf.convert_to_tensor(g) for g in tape.gradient(loss, values)]


def jax_gradients(objective: Function, values: list[Native]) -> LossAndSlopes:
    return jax.value_and_grad(objective)(values)


def watched_jax(port: PortOfFunctions, trace: Trace, args: Args, kwargs: Kwargs, training: bool) -> Native:
    from impls.port import jax_recorder

    def function(params: Natives, args: Args, kwargs: Kwargs) -> Native:
        return port.forward_with(params, args, kwargs, training)

    return jax_recorder.record(trace, function, dict(port.params), (args, kwargs), port.overrides)


def watched_tensorflow(port: PortOfFunctions, trace: Trace, args: Args, kwargs: Kwargs, training: bool) -> Native:
    from impls.port import tensorflow_recorder

    with tensorflow_recorder.recording(trace, port.overridden):
        return port.forward_with(port.params, args, kwargs, training)


def watched_numpy(port: PortOfFunctions, trace: Trace, args: Args, kwargs: Kwargs, training: bool) -> Native:
    return port.forward_with(port.params, args, kwargs, training)


def tensorflow_draws(port: PortOfFunctions) -> contextlib.AbstractContextManager[None]:
    from impls.port import tensorflow_random

    return tensorflow_random.common(port)


NATIVE: dict[str, Callable[..., Native]] = {"numpy": of_numpy, "jax": of_jax, "tensorflow": of_tensorflow}
GRADIENTS = {"jax": jax_gradients, "tensorflow": tensorflow_gradients}
DRAWS = {"tensorflow": tensorflow_draws}
WATCHED = {"jax": watched_jax, "tensorflow": watched_tensorflow, "numpy": watched_numpy}
