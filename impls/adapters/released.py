"""The adapter of every program on any release: canonical weights in, the program's own training and prediction out.

It uses what each API has had since its first release that these programs can run on, so that what fails on an old
release is the program and not its adapter. Valid on Python 3.6.
"""

import sys
from typing import Any, List

import numpy as np

from impls.adapters import Adapter as Base
from impls.adapters import Arrays


def configure(device: str, dtype: str, threads: int) -> None:
    """One operation after the other in TensorFlow, as its own adapter has it."""
    tf = sys.modules.get("tensorflow")
    if tf is not None:
        tf.config.threading.set_inter_op_parallelism_threads(1)


def variables(adapter: "Adapter", weights: Arrays) -> Any:
    """A flat dict of TensorFlow variables."""
    import tensorflow as tf

    made = adapter.program.build(**adapter.sizes)
    return {name: tf.Variable(weights[name], trainable=made[name].trainable) for name in made}


def layers(adapter: "Adapter", weights: Arrays) -> Any:
    """A Keras model, filled layer by layer; `set_weights` wants the canonical order."""
    keras = adapter.program.keras
    keras.backend.set_floatx(adapter.dtype)
    model = adapter.program.build(**adapter.sizes)
    for layer in adapter.layers:
        names = [layer.name + "/" + name for name in list(layer.weights) + list(layer.state)]
        if names:
            model.get_layer(layer.name).set_weights([weights[name] for name in names])
    return model


def shim(adapter: "Adapter", weights: Arrays) -> Any:
    """A model of the shim."""
    model = adapter.program.build(**adapter.sizes)
    model.to(backend=adapter.backend, mode=adapter.mode, dtype=adapter.dtype)
    model.set_weights(weights)
    return model


def arrays(adapter: "Adapter", weights: Arrays) -> Any:
    """A flat dict of JAX arrays."""
    import jax.numpy as jnp

    return {name: jnp.array(value) for name, value in weights.items()}


MAKERS = {
    "raw_tf": variables,
    "tf_keras": layers,
    "shim": shim,
    "raw_jax": arrays,
}


class Adapter(Base):
    """Serves any program that `MAKERS` has."""

    def load(self, weights: Arrays) -> None:
        way = self.program.__name__.split(".")[-1]
        self.model = MAKERS[way](self, {name: self.floats(value) for name, value in weights.items()})

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> List[float]:
        return self.program.train(self.model, x, y, epochs, batch_size)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.program.predict(self.model, x))
