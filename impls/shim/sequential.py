"""A model that is a chain of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from impls.shim.backends.contract import Shape
from impls.shim.config import refuse_keras
from impls.shim.layer import Input, Layer, Symbol
from impls.shim.model import Model
from impls.shim.network import Plan, Step, graph

Part: TypeAlias = "Layer | Model"


class Sequential(Model):
    """A chain of layers and models. `inputs`, or an `Input` before them, is the shape of one example.

    Without it the first data decide.
    """

    def __init__(
        self, layers: Sequence[object] = (), inputs: Shape | None = None, backend: str | None = None,
        mode: str | None = None, dtype: str = "float32", device: str = "cpu", seed: int | None = None, name: str = "",
    ) -> None:  # fmt: skip
        self.parts: list[Part] = []
        for at, part in enumerate(layers):
            if at == 0 and isinstance(part, Symbol):
                inputs = part.example
            else:
                refuse_keras("layer", part)
                self.parts.append(part)  # type: ignore[arg-type]  # an Input behind others is refused as it is built
        self.start = None if inputs is None else tuple(inputs)
        super().__init__(self._chain(), None, backend, mode, dtype, device, seed, name)

    def _chain(self) -> Plan:
        if any(isinstance(part, Model) for part in self.parts):
            return chained(self.parts, self.start)
        steps = [Step(layer, (at,)) for at, layer in enumerate(self.parts) if not isinstance(layer, Model)]
        return Plan(steps, ("x",), () if self.start is None or not steps else (self.start,))

    def add(self, part: Part | Symbol) -> None:
        """Put a layer, a model or, first of all, an `Input` behind the others. It has to be compiled again.

        What is there keeps its weights.
        """
        refuse_keras("layer", part)
        if not isinstance(part, Symbol):
            self._change([*self.parts, part])
            return
        if self.parts or self.start is not None:
            raise ValueError("an Input comes before the layers, and once")
        self.start = part.example

    def pop(self) -> Part:
        """Take the last layer or model away and return it; see `add`."""
        if not self.parts:
            raise ValueError("the model has no layers to take away")
        last = self.parts[-1]
        self._change(self.parts[:-1])
        return last

    def _change(self, parts: list[Part]) -> None:
        held = self.get_weights() if self.carry is not None else self.initial
        self.parts = parts
        plan = self._chain()
        for step in plan.steps:
            step.layer.held = {name: held[name] for name in step.layer.weights if name in held} or step.layer.held
        self.plan, self.input_names, self.input_keys = plan.steps, plan.input_names, plan.keys
        self.carry, self.compiled, self.optimizer = None, {}, None  # type: ignore[assignment]  # until it is bound again
        self.input_shape = None  # type: ignore[assignment]  # until it is built
        if plan.shapes:
            self.build(*plan.shapes)


def chained(parts: Sequence[Part], inputs: Shape | None) -> Plan:
    """Layers and models one after the other."""
    shape = parts[0].input_shape if inputs is None and isinstance(parts[0], Model) else inputs
    if shape is None:
        raise ValueError("a Sequential that holds a model needs inputs=, the shape of one example")
    start = y = Input(tuple(shape))
    for part in parts:
        y = part(y)
    return graph(start, y)
