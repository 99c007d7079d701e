"""The adapter of the raw TensorFlow 1 programs: a flat dict of variables in a graph, and a session that runs it.

Valid on Python 3.6.
"""

import inspect
from collections import OrderedDict
from functools import partial
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import tensorflow as tf

from impls.adapters import Adapter as Base
from impls.adapters import Arrays, Taps, bound
from impls.layer_kinds import functions

# Slot: the optimizer's own name of it.
SLOTS = {"adam": {"m": "m", "v": "v"}, "sgd": {"m": "momentum"}, "rmsprop": {"v": "rms"}}

CONFIG = tf.ConfigProto()


def configure(device: str, dtype: str, threads: int) -> None:
    """Threads as asked for, one operation after the other."""
    CONFIG.intra_op_parallelism_threads = threads
    CONFIG.inter_op_parallelism_threads = 1


class Adapter(Base):
    """Serves `raw_tf1`."""

    def load(self, weights: Arrays) -> None:
        with tf.Graph().as_default():
            trainable = {name: variable.trainable for name, variable in self.program.build(**self.sizes).items()}
        with tf.Graph().as_default() as graph:
            self.params = {
                name: tf.Variable(weights[name].astype(self.dtype), trainable=trainable[name]) for name in trainable
            }
            known = inspect.signature(self.program.make_graph).parameters
            sizes = {name: value for name, value in self.sizes.items() if name in known}
            self.graph = self.program.make_graph(self.params, **sizes)
            ours = set(self.params.values())
            self.others = [variable for variable in tf.global_variables() if variable not in ours]
            self.global_step = tf.train.get_global_step()
            self.tapped = {training: self._tapped(training) for training in (False, True)}
            self.slopes = self._slopes()
            self.session = tf.Session(graph=graph, config=CONFIG)
            self.session.run(tf.global_variables_initializer())

    def _tapped(self, training: bool) -> "OrderedDict[str, tf.Tensor]":
        """The outputs of the spec's layers on what is fed to the program's own placeholder."""
        taps = Taps(self.layers, fused=False)

        def tapped(kind: str, function: Any, *arguments: Any, **keywords: Any) -> tf.Tensor:
            return taps(kind, function(*arguments, **keywords))

        kinds = functions(self.layers)
        layers = {kind: partial(tapped, kind, getattr(self.program, kind, None)) for kind in kinds}
        with bound(self.program, **layers):
            self.program.forward(self.params, self.graph["x"], training=training)
        return taps.outputs

    def _slopes(self) -> Dict[str, tf.Tensor]:
        """Loss, outputs, cotangents and gradients of a training-mode pass."""
        outputs = self.tapped[True]
        loss = self.program.loss_fn(next(reversed(list(outputs.values()))), self.graph["y"])
        found = tf.gradients(loss, list(outputs.values()) + [self.params[name] for name in self.trainable])
        names = ["cotangent/" + name for name in outputs] + ["gradient/" + name for name in self.trainable]
        slopes = {name: tf.convert_to_tensor(slope) for name, slope in zip(names, found)}
        slopes.update(("activation/" + name, output) for name, output in outputs.items())
        return dict(slopes, loss=loss)

    def _slots(self) -> Dict[str, tf.Variable]:
        names = SLOTS[self.spec.optimizer["name"]]
        get = self.graph["optimizer"].get_slot
        return {
            slot + "/" + name: get(self.params[name], own) for slot, own in names.items() for name in self.trainable
        }

    def restore(self, weights: Arrays, slots: Arrays, step: int) -> None:
        for variables, values in ((self.params, weights), (self._slots(), slots)):
            for name, variable in variables.items():
                variable.load(values[name].astype(self.dtype), self.session)
        self.global_step.load(step, self.session)
        if self.spec.optimizer["name"] == "adam":
            with self.session.graph.as_default():
                powers = self.graph["optimizer"]._get_beta_accumulators()
            for power, beta in zip(powers, ("beta_1", "beta_2")):
                power.load(self.spec.optimizer[beta] ** (step + 1), self.session)

    def weights(self) -> Arrays:
        return self.session.run(self.params)

    def slots(self) -> Arrays:
        return self.session.run(self._slots())

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        outputs = self.tapped[training]
        found = self.session.run(list(outputs.values()), {self.graph["x"]: x})
        return OrderedDict(zip(outputs, found))

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        return self.session.run(self.slopes, {self.graph["x"]: x, self.graph["y"]: y})

    def batch(self, x: np.ndarray, y: Optional[np.ndarray] = None) -> Tuple[Any, Any]:
        """What is fed is NumPy: TensorFlow 1 keeps no batch for its user."""
        return x, y

    def step(self, x: Any, y: Any) -> Any:
        feed = {self.graph["x"]: x, self.graph["y"]: y}
        return self.session.run([self.graph["loss"], self.graph["train"]], feed)[0]

    def call(self, x: Any) -> Any:
        return self.session.run(self.graph["logits"], {self.graph["x"]: x})

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> List[float]:
        """The program's loop, with an optimizer that starts afresh."""
        self.session.run([variable.initializer for variable in self.others])
        return self.program.train(self.session, self.graph, x, y, epochs, batch_size)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.program.predict(self.session, self.graph, x)
