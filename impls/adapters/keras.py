"""The adapter of the Keras programs, for each backend that Keras has.

The layers of a program have the spec's names, and their weights the canonical names and layouts. They are tapped where
they are called, wherever that is: in a chain, in a graph with branches, inside of another layer. The model is called in
a `keras.StatelessScope`, which keeps what a layer assigns (its running statistics) away from it.
"""

import importlib
import os
from collections import OrderedDict
from typing import Callable, Dict, List, Optional, Tuple

import keras
import numpy as np

from impls.adapters import Adapter as Base
from impls.adapters import Arrays, Native
from impls.adapters.keras_layers import holding, tapping

# Slot: Keras's name of it, in every optimizer that has it.
SLOTS = {"m": "momentum", "v": "velocity", "accumulator": "accumulator"}

COMPILE = {
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
    "jit": {"jit_compile": True},
    "eager": {"jit_compile": False, "run_eagerly": True},
}

Functions = Tuple[Callable[[Native, bool], Native], Callable[[Native, Native], Native]]


def configure(device: str, dtype: str, threads: int) -> None:
    """Keras's default dtype, and the backend's own settings as its own adapter makes them."""
    if "KERAS_DISTRIBUTION_JOB_ADDRESSES" in os.environ:  # a process joins the others before it looks at its devices
        keras.distribution.initialize()
        keras.distribution.initialize = lambda: None  # a program asks for it too, and JAX refuses a second time
    raw = {"tensorflow": "tensorflow_ops", "torch": "pytorch", "jax": "jax_functions"}[keras.backend.backend()]
    importlib.import_module("impls.adapters." + raw).configure(device, dtype, threads)
    keras.config.set_floatx(dtype)


def tensorflow_functions(adapter: "Adapter") -> Functions:
    """Outputs, and loss with outputs, gradients and cotangents, in the adapter's mode."""
    import tensorflow as tf

    from impls.adapters.tensorflow_ops import MODES

    def gradients(x: tf.Tensor, y: tf.Tensor) -> Tuple[Native, ...]:
        weights = {name: adapter.variables[name].value for name in adapter.trainable}
        with tf.GradientTape() as tape:
            outputs = adapter.outputs(x, True)
            loss = adapter.loss(outputs, y)
        found, cotangents = tape.gradient(loss, (weights, outputs))
        return loss, outputs, {name: tf.convert_to_tensor(g) for name, g in found.items()}, cotangents

    compiled = MODES[adapter.mode]
    return compiled(adapter.outputs), compiled(gradients)


def torch_functions(adapter: "Adapter") -> Functions:
    """Outputs, and loss with outputs, gradients and cotangents."""
    import torch

    def gradients(x: torch.Tensor, y: torch.Tensor) -> Tuple[Native, ...]:
        weights = {name: adapter.variables[name].value for name in adapter.trainable}
        outputs = adapter.outputs(x, True)
        loss = adapter.loss(outputs, y)
        found = iter(torch.autograd.grad(loss, [*weights.values(), *outputs.values()]))
        return loss, outputs, {name: next(found) for name in weights}, {name: next(found) for name in outputs}

    return adapter.outputs, gradients


def jax_functions(adapter: "Adapter") -> Functions:
    """Outputs, and loss with outputs, gradients and cotangents: the gradients of zeros added to the outputs."""
    import jax

    def outputs(values: Dict[str, Native], probes: Dict[str, Native], x: Native, training: bool) -> Native:
        return adapter.outputs(x, training, values, probes)

    def objective(weights: Native, probes: Native, state: Native, x: Native, y: Native) -> Tuple[Native, Native]:
        found = adapter.outputs(x, True, {**state, **weights}, probes)
        return adapter.loss(found, y), found

    def forward(x: Native, training: bool) -> Native:
        return outputs(values(adapter.variables), {}, x, training)

    def gradients(x: Native, y: Native) -> Tuple[Native, ...]:
        weights, state = (values(names) for names in (adapter.trainable, adapter.state))
        shapes = jax.eval_shape(lambda: adapter.outputs(x, True))
        probes = {name: jax.numpy.zeros(output.shape, output.dtype) for name, output in shapes.items()}
        (loss, found), (slopes, cotangents) = differentiated(weights, probes, state, x, y)
        return loss, found, slopes, cotangents

    def values(names: Native) -> Dict[str, Native]:
        return {name: adapter.variables[name].value for name in names}

    differentiated = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    if adapter.mode == "jit":
        outputs, differentiated = jax.jit(outputs, static_argnums=3), jax.jit(differentiated)
    return forward, gradients


FUNCTIONS = {"tensorflow": tensorflow_functions, "torch": torch_functions, "jax": jax_functions}


class Adapter(Base):
    """Serves `tf_keras`."""

    def load(self, weights: Arrays) -> None:
        self.model = self.program.build(**self.sizes)
        self.variables = holding(self.model, self.layers, weights)
        optimizer = self.program.make_optimizer()
        self.model.compile(optimizer=optimizer, loss=self.program.loss_fn, **COMPILE[self.mode])
        optimizer.build(self.model.trainable_variables)
        self.tapped_forward, self.tapped_gradients = FUNCTIONS[self.backend](self)

    def weights(self) -> Arrays:
        return {name: self.value(variable) for name, variable in self.variables.items()}

    def restore(self, weights: Arrays, slots: Arrays, step: int) -> None:
        for variables, values in ((self.variables, weights), (self._slots(), slots)):
            for name, variable in variables.items():
                variable.assign(values[name])
        self.model.optimizer.iterations.assign(step)

    def _slots(self) -> Dict[str, Native]:
        """Keras names an optimizer's variable after the path of the weight and the slot."""
        found = {variable.name: variable for variable in self.model.optimizer.variables}
        known = {
            slot + "/" + name: self.variables[name].path.replace("/", "_") + "_" + keras_name
            for slot, keras_name in SLOTS.items()
            for name in self.trainable
        }
        return {slot: found[keras_name] for slot, keras_name in known.items() if keras_name in found}

    def slots(self) -> Arrays:
        return {name: self.value(variable) for name, variable in self._slots().items()}

    def outputs(
        self,
        x: Native,
        training: bool,
        values: Optional[Dict[str, Native]] = None,
        probes: Optional[Dict[str, Native]] = None,
    ) -> "OrderedDict[str, Native]":
        """The spec's layers' outputs, from `values` instead of the model's own, with `probes` added to them."""
        with keras.StatelessScope([(self.variables[name], value) for name, value in (values or {}).items()]):
            return tapping(self.model, self.layers, x, training, probes or {})

    def loss(self, outputs: "OrderedDict[str, Native]", y: Native) -> Native:
        """The program's loss of the last of `outputs`."""
        return self.program.loss_fn(y, next(reversed(outputs.values())))

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        outputs = self.tapped_forward(self.batch(x)[0], training)
        return OrderedDict((name, self.value(output)) for name, output in outputs.items())

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        loss, *groups = self.tapped_gradients(*self.batch(x, y))
        arrays = {"loss": self.value(loss)}
        for prefix, group in zip(("activation", "gradient", "cotangent"), groups, strict=True):
            arrays.update((prefix + "/" + name, self.value(array)) for name, array in group.items())
        return arrays

    def batch(self, x: np.ndarray, y: Optional[np.ndarray] = None) -> Tuple[Native, Native]:
        labels = None if y is None else keras.ops.convert_to_tensor(y)
        return keras.ops.convert_to_tensor(x), labels

    def step(self, x: Native, y: Native) -> Native:
        """`train_on_batch` waits for the loss: that is Keras's own way of one step."""
        return self.model.train_on_batch(x, y)

    def call(self, x: Native) -> np.ndarray:
        return self.model.predict_on_batch(x)

    def pure(self, what: str, x: Native, y: Native) -> Tuple[Native, Tuple[Native, ...]]:
        """Keras's own stateless steps: of a training step with what `compile` added to it."""
        model = self.model
        model.train_on_batch(x, y)  # makes the metrics, whose variables are part of the state
        groups = [model.trainable_variables, model.non_trainable_variables]
        if what == "train_step":
            groups += [model.optimizer.variables, model.metrics_variables]
        state = tuple([variable.value for variable in group] for group in groups)
        return (model.train_step, (state, (x, y))) if what == "train_step" else (model.predict_step, (state, (x,)))

    def value(self, native: Native) -> np.ndarray:
        return np.array(keras.ops.convert_to_numpy(native))

    def _restart(self, **arguments: Native) -> None:
        """In place of `compile`: the optimizer starts afresh, and what is traced already stays."""
        for variable in self.model.optimizer.variables:
            if variable.name != "learning_rate":
                variable.assign(np.zeros(variable.shape))

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> List[float]:
        """The program's loop around the step of this mode, which is traced once and not again for every call."""
        self.model.compile = self._restart
        try:
            return self.program.train(self.model, x, y, epochs, batch_size)
        finally:
            del self.model.compile

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.program.predict(self.model, x)
