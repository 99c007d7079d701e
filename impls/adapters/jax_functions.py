"""The adapter of the JAX programs: pure functions of a flat dict of arrays with the canonical names.

Taps replace the program's layer functions while its forward pass is traced; the compiled training step is traced
without them.
"""

import os
from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Dict, Iterator, List, Optional, Tuple

import jax
import jax.numpy as jnp
import numpy as np

from impls.adapters import Adapter as Base
from impls.adapters import Arrays, Native, Taps, bound
from impls.layer_kinds import functions

Params = Dict[str, jax.Array]


def configure(device: str, dtype: str, threads: int) -> None:
    """TF32 only where TRIPTYCH_TF32 is 1; a GPU that is not there is an error.

    Threads and float64 come from the environment.
    """
    allowed = os.environ.get("TRIPTYCH_TF32") == "1"
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if allowed else "highest")
    found = jax.default_backend()
    if found != device:
        raise RuntimeError(
            "device {!r} is not there: jax {} runs on {!r}; use that".format(device, jax.__version__, found)
        )


def to_numpy(array: jax.Array) -> np.ndarray:
    """A copy: the buffer may be donated to the next step."""
    return np.array(array)


class Probes(Taps):
    """Taps that add a zero to each output: the gradient with respect to that zero is the output's cotangent."""

    def __init__(self, layers: Tuple[Native, ...], probes: Dict[str, jax.Array]):
        super().__init__(layers, fused=False)
        self.probes = probes

    def __call__(self, kind: str, output: jax.Array) -> jax.Array:
        before = len(self.outputs)
        super().__call__(kind, output)
        if len(self.outputs) > before:
            name = next(reversed(self.outputs))
            output = self.outputs[name] = output + self.probes.get(name, 0)
        return output


class Adapter(Base):
    """Serves `raw_jax`."""

    def __init__(self, *arguments: Native):
        super().__init__(*arguments)
        self.running = jax.disable_jit if self.mode == "eager" else nullcontext
        self.tapped_forward = jax.jit(self._outputs, static_argnames="training")
        self.tapped_gradients = jax.jit(jax.value_and_grad(self._objective, argnums=(0, 1), has_aux=True))

    def load(self, weights: Arrays) -> None:
        self.params = {name: jnp.array(array, self.dtype) for name, array in weights.items()}
        self.optimizer = self.program.init_slots(self.params)

    def restore(self, weights: Arrays, slots: Arrays, step: int) -> None:
        self.params = {name: jnp.array(array, self.dtype) for name, array in weights.items()}
        kept = {name: jnp.array(slots.get(name, step), old.dtype) for name, old in self.optimizer.items()}
        self.optimizer = kept

    def weights(self) -> Arrays:
        return {name: to_numpy(array) for name, array in self.params.items()}

    def slots(self) -> Arrays:
        return {name: to_numpy(array) for name, array in self.optimizer.items() if name != "step"}

    @contextmanager
    def _tapping(self, probes: Dict[str, jax.Array]) -> Iterator[Probes]:
        """The program's layer functions pass their outputs on through taps."""
        taps = Probes(self.layers, probes)

        def tapped(kind: str, function: Native, *arguments: Native, **keywords: Native) -> jax.Array:
            return taps(kind, function(*arguments, **keywords))

        kinds = functions(self.layers)
        layers = {kind: partial(tapped, kind, getattr(self.program, kind, None)) for kind in kinds}
        with bound(self.program, **layers):
            yield taps

    def _outputs(self, params: Params, probes: Params, x: jax.Array, training: bool) -> "OrderedDict[str, jax.Array]":
        with self._tapping(probes) as taps:
            # Only a model with running statistics computes something else in training; it puts the moved ones in here.
            self.program.forward(params, x, *([{}] if training and self.state else []))
        return taps.outputs

    def _objective(self, weights: Params, probes: Params, state: Params, x: jax.Array, y: jax.Array) -> Native:
        outputs = self._outputs({**state, **weights}, probes, x, training=True)
        return self.program.loss_fn(next(reversed(outputs.values())), y), outputs

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        with self.running():
            outputs = self.tapped_forward(self.params, {}, self.batch(x)[0], training=training)
        return OrderedDict((name, to_numpy(output)) for name, output in outputs.items())

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        native_x, native_y = self.batch(x, y)
        weights, state = ({name: self.params[name] for name in names} for names in (self.trainable, self.state))
        with self.running():
            outputs = self.tapped_forward(self.params, {}, native_x, training=True)
            probes = {name: jnp.zeros_like(output) for name, output in outputs.items()}
            (loss, outputs), found = self.tapped_gradients(weights, probes, state, native_x, native_y)
        arrays = {"loss": to_numpy(loss)}
        for prefix, group in (("activation", outputs), ("gradient", found[0]), ("cotangent", found[1])):
            arrays.update((prefix + "/" + name, to_numpy(array)) for name, array in group.items())
        return arrays

    def batch(self, x: np.ndarray, y: Optional[np.ndarray] = None) -> Tuple[jax.Array, Optional[jax.Array]]:
        return jnp.asarray(x), None if y is None else jnp.asarray(y)

    def step(self, x: jax.Array, y: jax.Array) -> jax.Array:
        with self.running():
            self.params, self.optimizer, loss = self.program.train_step(self.params, self.optimizer, x, y)
        return loss

    def call(self, x: jax.Array) -> jax.Array:
        with self.running():
            return self.program.predict_step(self.params, x)

    def pure(self, what: str, x: Native, y: Native) -> Tuple[Native, Tuple[Native, ...]]:
        if what == "predict":
            return self.program.predict_step, (self.params, x)
        return self.program.train_step, (self.params, self.optimizer, x, y)

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> List[float]:
        with self.running():
            return self.program.train(self.params, x, y, epochs, batch_size)

    def predict(self, x: np.ndarray) -> np.ndarray:
        with self.running():
            return self.program.predict(self.params, x)
