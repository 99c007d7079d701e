"""The adapter of the raw TensorFlow programs: a flat dict of variables with the canonical names.

Taps and modes go in by binding other functions to the names of the program's module while it runs.
"""

from collections import OrderedDict
from contextlib import contextmanager
from functools import partial
from typing import Dict, Iterator, List, Optional, Tuple

import numpy as np
import tensorflow as tf

from impls.adapters import Adapter as Base
from impls.adapters import Arrays, Native, Taps, bound
from impls.layer_kinds import functions

MODES = {
    "graph": tf.function,
    "xla": partial(tf.function, jit_compile=True),
    "eager": lambda function: function,
}


def configure(device: str, dtype: str, threads: int) -> None:
    """Threads as asked for, and no TF32; a GPU that is not there is an error."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    elif not tf.config.list_physical_devices("GPU"):
        raise RuntimeError("device 'gpu' is not there: tensorflow {} finds no GPU; use cpu".format(tf.__version__))


class Adapter(Base):
    """Serves `raw_tf`."""

    def __init__(self, *arguments: Native):
        super().__init__(*arguments)
        self.compiled = MODES[self.mode]
        self.kinds = functions(self.layers)

    def load(self, weights: Arrays) -> None:
        self.params = {
            name: tf.Variable(weights[name].astype(self.dtype), trainable=variable.trainable)
            for name, variable in self.program.build(**self.sizes).items()
        }
        self.optimizer = self.program.init_slots(self.params)
        python_step = self.program.make_train_step(self.params, self.optimizer).python_function
        self.train_step = self.compiled(python_step)
        self.predict_step = self.compiled(self._logits)
        self.tapped_forward = self.compiled(self._tapped)
        self.tapped_gradients = self.compiled(self._gradients)

    def _logits(self, x: tf.Tensor) -> tf.Tensor:
        # The weights are captured, as the training step captures them: passed as arguments they cost 5 us each a call.
        return self.program.forward(self.params, x)

    def restore(self, weights: Arrays, slots: Arrays, step: int) -> None:
        for variables, values in ((self.params, weights), (self.optimizer, {**slots, "step": np.array(step)})):
            for name, variable in variables.items():
                variable.assign(values[name].astype(variable.dtype.as_numpy_dtype))

    def weights(self) -> Arrays:
        return {name: variable.numpy() for name, variable in self.params.items()}

    def slots(self) -> Arrays:
        return {name: variable.numpy() for name, variable in self.optimizer.items() if name != "step"}

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Puts the running statistics back afterwards."""
        kept = {name: self.params[name].numpy() for name in self.state}
        try:
            yield
        finally:
            for name, value in kept.items():
                self.params[name].assign(value)

    def _tapped(self, x: tf.Tensor, training: bool) -> Tuple[tf.Tensor, "OrderedDict[str, tf.Tensor]"]:
        """Logits, and the outputs of the spec's layers."""
        taps = Taps(self.layers, fused=False)

        def tapped(kind: str, function: Native, *arguments: Native, **keywords: Native) -> tf.Tensor:
            return taps(kind, function(*arguments, **keywords))

        layers = {kind: partial(tapped, kind, getattr(self.program, kind, None)) for kind in self.kinds}
        with bound(self.program, **layers):
            logits = self.program.forward(self.params, x, training=training)
        return logits, taps.outputs

    def _gradients(self, x: tf.Tensor, y: tf.Tensor) -> Tuple[tf.Tensor, Native, Native, Native]:
        weights = {name: self.params[name] for name in self.trainable}
        with tf.GradientTape() as tape:
            logits, outputs = self._tapped(x, training=True)
            loss = self.program.loss_fn(logits, y)
        gradients, cotangents = tape.gradient(loss, (weights, outputs))
        return loss, outputs, cotangents, {name: tf.convert_to_tensor(g) for name, g in gradients.items()}

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        with self._unchanged():
            _, outputs = self.tapped_forward(self.batch(x)[0], training)
        return OrderedDict((name, output.numpy()) for name, output in outputs.items())

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        with self._unchanged():
            loss, *groups = self.tapped_gradients(*self.batch(x, y))
        arrays = {"loss": loss.numpy()}
        for prefix, group in zip(("activation", "cotangent", "gradient"), groups, strict=True):
            arrays.update((prefix + "/" + name, tensor.numpy()) for name, tensor in group.items())
        return arrays

    def batch(self, x: np.ndarray, y: Optional[np.ndarray] = None) -> Tuple[tf.Tensor, Optional[tf.Tensor]]:
        return tf.constant(x), None if y is None else tf.constant(y)

    def step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return self.train_step(x, y)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.predict_step(x)

    def _fresh_slots(self, params: Dict[str, tf.Variable]) -> Dict[str, tf.Variable]:
        for variable in self.optimizer.values():
            variable.assign(tf.zeros_like(variable))
        return self.optimizer

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> List[float]:
        """The program's loop around the step of this mode, which is traced once and not again for every call."""
        with bound(self.program, init_slots=self._fresh_slots, make_train_step=lambda params, slots: self.train_step):
            return self.program.train(self.params, x, y, epochs, batch_size)

    def predict(self, x: np.ndarray) -> np.ndarray:
        with bound(self.program, predict_step=lambda params, x: self.predict_step(x)):
            return self.program.predict(self.params, x)
