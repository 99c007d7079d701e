"""The shim's adapter: every backend and mode of it, through the model's own pure functions."""

import importlib
import os
import sys
from collections import OrderedDict
from typing import Dict, List, Optional, Tuple

import numpy as np

from impls.adapters import Adapter as Base
from impls.adapters import Arrays, Native, Program, Size
from impls.shim import data
from impls.shim.layer import Run
from impls.shim.losses import loss_function


def configure(device: str, dtype: str, threads: int) -> None:
    """On a GPU products are as precise as those of the raw programs of the same engine."""
    for engine, adapter in (("torch", "pytorch"), ("jax", "jax_functions")):
        if device == "gpu" and engine in sys.modules:
            importlib.import_module("impls.adapters." + adapter).configure(device, dtype, threads)


class Adapter(Base):
    def __init__(
        self, program: Program, model: str, size: Size, backend: str, mode: str, device: str, dtype: str
    ) -> None:
        super().__init__(program, model, size, backend, mode, device, dtype)
        low = os.environ.get("TRIPTYCH_COMPUTE")  # mixed precision: only the shim has it, so it is no dtype of a cell
        computed = "mixed_" + low if low and dtype == "float32" else dtype
        self.model = program.build(**self.sizes).to(backend=backend, mode=mode, dtype=computed, device=device)
        self.drops = any(layer.drops() for layer in self.model.layers)

    def load(self, weights: Arrays) -> None:
        self.model.set_weights(weights)
        self.model.compile(optimizer=self.program.OPTIMIZER, loss=self.program.LOSS)

    def restore(self, weights: Arrays, slots: Arrays, step: int) -> None:
        self.model.set_weights(weights)
        self.model.set_slots(slots, step)

    def weights(self) -> Arrays:
        return self.model.get_weights()

    def slots(self) -> Arrays:
        return self.model.get_slots()

    def _noise(self, x: Native) -> Dict[str, Native]:
        """What dropout keeps of a batch, by the name of its column: the same of every batch of this size."""
        if not self.drops:
            return {}
        self.model.rng = np.random.default_rng(0)
        masks = data.noise(self.model, {"x": np.asarray(self.model.B.numpy(x))})
        return {name: self.model.native(mask) for name, mask in masks.items()}

    def _outputs(
        self, parameters: Dict[str, Native], x: Native, training: bool, noise: Native = None, offsets: Native = None
    ) -> "Tuple[Native, OrderedDict[str, Native]]":
        """Logits and the output of each layer, to which `offsets` are added: their gradients are the cotangents."""
        outputs = OrderedDict()  # type: OrderedDict[str, Native]

        def tap(layer: Native, y: Native) -> Native:
            outputs[layer.name] = y if offsets is None else y + offsets["offset/" + layer.name]
            return outputs[layer.name]

        return self.model.apply(parameters, x, Run(training, noise), tap), outputs

    def _compiled(self, function: Native, *columns: Native) -> Native:
        """`function(carry, columns)` in the model's mode."""
        model = self.model
        return model.B.compile_inference(function, model.carry, model.mode)(model.carry, columns)

    def _named(self, outputs: Dict[str, Native], prefix: str) -> "OrderedDict[str, np.ndarray]":
        """Arrays of each layer as NumPy, images in canonical axes."""
        B = self.model.B
        names = [layer.name for layer in self.layers]  # what only joins branches is no layer of the spec
        steps = [step for step in self.model.plan if step.layer.name in names]
        found = OrderedDict()
        for step in steps:
            output = outputs[step.layer.name]
            if self.model.compute:  # NumPy has no bfloat16
                output = B.cast(output, self.model.dtype)
            if step.image:
                output = B.from_image(output)
            found[prefix + step.layer.name] = B.numpy(output)
        return found

    def _forward(self, x: Native, training: bool) -> Dict[str, Native]:
        noise = self._noise(x) if training else {}

        def function(carry: Native, columns: Native) -> Native:
            masks = dict(zip(noise, columns[1:], strict=True))
            return self._outputs(dict(carry["state"], **carry["weights"]), columns[0], training, masks)[1]

        return self._compiled(function, x, *noise.values())

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        return self._named(self._forward(self.model.native(x), training), "")

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        B, loss = self.model.B, loss_function(self.program.LOSS)
        x, y = self.batch(x, y)
        noise = self._noise(x)
        offsets = {"offset/" + name: B.zeros_like(output) for name, output in self._forward(x, True).items()}

        def function(carry: Native, columns: Native) -> Native:
            def objective(leaves: Native) -> Native:
                parameters = dict(carry["state"], **{name: leaves[name] for name in carry["weights"]})
                masks = dict(zip(noise, columns[2:], strict=True))
                logits, outputs = self._outputs(parameters, columns[0], True, masks, leaves)
                return loss(B, columns[1], logits), outputs

            return B.value_and_grad(objective, "eager")(dict(carry["weights"], **offsets))

        (value, outputs), grads = self._compiled(function, x, y, *noise.values())
        declared = self.model.declared
        found = {"gradient/" + name: B.numpy(grads[name], declared[name].role) for name in self.trainable}
        found.update(self._named(outputs, "activation/"), loss=B.numpy(value))
        found.update(self._named({n: grads["offset/" + n] for n in outputs}, "cotangent/"))
        return found

    def batch(self, x: np.ndarray, y: Optional[np.ndarray] = None) -> Tuple[Native, Native]:
        return self.model.native(x), None if y is None else self.model.native(y)

    def step(self, x: Native, y: Native) -> Native:
        if not self.drops:
            return self.model.step(x, y)
        noise = self._noise(x)
        return self.model.step(x, y, *noise.values(), names=("x", "y", *noise))

    def call(self, x: Native) -> Native:
        return self.model.call(x)

    def pure(self, what: str, x: Native, y: Native) -> Native:
        model, B = self.model, self.model.B
        if what == "predict":
            return B.compile_inference(model.inference(), model.carry, model.mode), (model.parameters(), (x,))
        step = model.training_step(("x", "y"))
        if self.device == "cpu":  # on a GPU it keeps rates there between calls, which is an effect
            step = B.compile(step, model.carry, model.mode)
        return step, (model.carry, model.optimizer.rates(1, None), (x, y))

    def value(self, native: Native) -> np.ndarray:
        return self.model.B.numpy(native)

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> List[float]:
        return self.program.train(self.model, x, y, epochs, batch_size)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.program.predict(self.model, x)
