"""The adapter of the Keras programs on the backends of Keras 3 that only predict: NumPy and OpenVINO.

A model that has every layer's output is built on the program's own, so that an engine that compiles does so here too.
"""

from collections import OrderedDict
from functools import partial
from typing import Optional, Tuple

import keras
import numpy as np

from impls.adapters import Adapter as Base
from impls.adapters import Arrays, Native
from impls.adapters.keras_layers import holding, named


def configure(device: str, dtype: str, threads: int) -> None:
    """Keras's default dtype, and OpenVINO's threads, which Keras has no way to set."""
    keras.config.set_floatx(dtype)
    if keras.backend.backend() == "openvino":
        import openvino

        config = {"INFERENCE_NUM_THREADS": threads}
        openvino.compile_model = partial(openvino.compile_model, config=config)


class Adapter(Base):
    """Serves `keras_inference`."""

    def load(self, weights: Arrays) -> None:
        self.model = self.program.build(**self.sizes)
        self.variables = holding(self.model, self.layers, weights)
        self.model.compile(optimizer=self.program.make_optimizer(), loss=self.program.loss_fn)
        known = named(self.model, self.layers)
        outputs = [known[layer.name].output if layer.name in known else self.model.output for layer in self.layers]
        self.tapped = keras.Model(self.model.inputs, outputs)

    def weights(self) -> Arrays:
        return {name: np.array(keras.ops.convert_to_numpy(variable)) for name, variable in self.variables.items()}

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        found = self.tapped.predict_on_batch(x)
        return OrderedDict(zip((layer.name for layer in self.layers), map(np.asarray, found), strict=True))

    def batch(self, x: np.ndarray, y: Optional[np.ndarray] = None) -> Tuple[Native, Native]:
        return x, y

    def call(self, x: Native) -> Native:
        return self.model.predict_on_batch(x)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.program.predict(self.model, x)
