"""The adapter of the Keras 2 programs on TensorFlow 2, as the package tf-keras: eager tapes and no symbolic graph.

`impls.adapters.keras2` has given the package its old name before this is imported.
"""

from collections import OrderedDict
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Tuple

import numpy as np
import tensorflow as tf

from impls.adapters import Arrays
from impls.adapters.keras2 import Symbolic

# Slot: the attributes under which tf-keras 2.11 and newer keep it.
SLOTS = {
    "adam": {"m": "_momentums", "v": "_velocities"},
    "sgd": {"m": "momentums"},
    "rmsprop": {"v": "_velocities"},
}


class Eager(Symbolic):
    """Serves `keras2` on TensorFlow 2."""

    def _prepare(self) -> None:
        self.model.optimizer.build(self.model.trainable_variables)
        self.tapped_forward = tf.function(self._outputs_of)
        self.tapped_gradients = tf.function(self._tape)

    def _variables(self) -> Dict[str, Any]:
        names, optimizer = SLOTS[self.spec.optimizer["name"]], self.model.optimizer
        found = {}
        for slot, attribute in names.items():
            for name, variable in zip(self.trainable, getattr(optimizer, attribute), strict=True):
                found[slot + "/" + name] = variable
        return found

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Puts the running statistics back afterwards."""
        kept = [(variable, variable.numpy()) for variable in self.model.non_trainable_weights]
        yield
        for variable, value in kept:
            variable.assign(value)

    def _outputs_of(self, x: Any, training: bool) -> Dict[str, Any]:
        outputs = {}
        for layer in self.model.layers:
            x = outputs[layer.name] = layer(x, training=training)
        return outputs

    def _tape(self, x: Any, y: Any) -> Tuple[Any, ...]:
        weights = self.model.trainable_weights
        with tf.GradientTape() as tape:
            outputs = self._outputs_of(x, True)
            loss = self.model.compiled_loss(y, outputs[self.model.layers[-1].name])
        found, cotangents = tape.gradient(loss, (weights, outputs))
        return loss, outputs, cotangents, [tf.convert_to_tensor(slope) for slope in found]

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        with self._unchanged():
            outputs = self.tapped_forward(tf.constant(x), training)
        return OrderedDict((layer.name, outputs[layer.name].numpy()) for layer in self.layers)

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        with self._unchanged():
            loss, outputs, cotangents, slopes = self.tapped_gradients(tf.constant(x), tf.constant(self._targets(y)))
        found = {"loss": loss.numpy()}
        for layer in self.layers:
            found["activation/" + layer.name] = outputs[layer.name].numpy()
            found["cotangent/" + layer.name] = cotangents[layer.name].numpy()
        found.update(("gradient/" + name, slope.numpy()) for name, slope in zip(self.trainable, slopes, strict=True))
        return found
