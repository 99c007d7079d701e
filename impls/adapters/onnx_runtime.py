"""The adapter of ONNX Runtime, which runs what the shim's programs export.

A file has one output, so every layer's is looked at in a file of its own: the model up to that layer.
"""

from collections import OrderedDict
from typing import Optional, Tuple

import numpy as np
import onnxruntime

from impls import shim
from impls.adapters import Adapter as Base
from impls.adapters import Arrays, Native

OPTIONS = onnxruntime.SessionOptions()


def configure(device: str, dtype: str, threads: int) -> None:
    """Threads as asked for; those that wait do not spin."""
    OPTIONS.intra_op_num_threads, OPTIONS.inter_op_num_threads = threads, 1
    OPTIONS.add_session_config_entry("session.intra_op.allow_spinning", "0")
    OPTIONS.log_severity_level = 4  # a model that it can't run raises all the same


def session(model: Native) -> Native:
    """A session of the exported model."""
    exported = shim.to_onnx(model).SerializeToString()
    return onnxruntime.InferenceSession(exported, OPTIONS, providers=["CPUExecutionProvider"])


class Adapter(Base):
    """Serves `shim_onnx`."""

    def load(self, weights: Arrays) -> None:
        self.model = self.program.build(**self.sizes).to(backend="numpy", mode="eager", dtype=self.dtype)
        self.model.set_weights(weights)
        self.session = session(self.model)
        self.tapped = None  # type: Native

    def weights(self) -> Arrays:
        return self.model.get_weights()

    def _taps(self) -> "OrderedDict[str, Native]":
        plan, found = self.model.plan, OrderedDict()
        names = [layer.name for layer in self.layers]
        try:
            for at, step in enumerate(plan, start=1):
                if step.layer.name in names:
                    self.model.plan = plan[:at]
                    found[step.layer.name] = session(self.model)
        finally:
            self.model.plan = plan
        return found

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        if self.tapped is None:
            self.tapped = self._taps()
        return OrderedDict((name, run.run(None, {"x": x})[0]) for name, run in self.tapped.items())

    def batch(self, x: np.ndarray, y: Optional[np.ndarray] = None) -> Tuple[Native, Native]:
        return x, y

    def call(self, x: Native) -> Native:
        return self.session.run(None, {"x": x})[0]

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.call(x)
