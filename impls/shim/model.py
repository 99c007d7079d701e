"""Models: networks that are trained, made of a chain of layers or of a graph, and moved, saved and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from impls.shim import saving
from impls.shim.config import backend_module, looked_up
from impls.shim.layers import Layer, Symbol
from impls.shim.network import DTYPES, Step
from impls.shim.training import Trainer


def Input(shape: Any) -> Symbol:
    """The start of a functional model: the shape of one example, None for an extent that varies."""
    return Symbol(None, (), tuple(shape))


class Model(Trainer):
    """A graph of layers from one `Input`, or a list of them, to one output.

    `backend`, `mode`, `dtype` and `device` can be changed later by `to`. Weights have canonical names
    (`layer/weight`) and Keras's layouts wherever they go in or come out. A mixed dtype keeps weights, optimizer,
    normalisation and loss in float32 and computes the other layers in 16 bits.
    """

    def __init__(
        self, inputs: Symbol | Sequence[Symbol], outputs: Symbol, backend: str | None = None, mode: str | None = None,
        dtype: str = "float32", device: str = "cpu", seed: int = 0,
    ) -> None:  # fmt: skip
        self._start(backend, mode, dtype, device, seed)
        starts = [inputs] if isinstance(inputs, Symbol) else list(inputs)
        order = list(starts)
        _visit(outputs, order)
        places = {id(symbol): at for at, symbol in enumerate(order)}
        plan = [(symbol.layer, [places[id(s)] for s in symbol.sources]) for symbol in order[len(starts) :]]
        used = {at for _, sources in plan for at in sources}
        if any(layer is None for layer, _ in plan) or not set(range(len(starts))) <= used:
            raise ValueError("the inputs of a model are all the Inputs that lead to its output, and no others")
        self.plan = [Step(layer, sources) for layer, sources in plan if layer is not None]
        self.input_names = ("x",) if len(starts) == 1 else tuple(f"x/{at}" for at in range(len(starts)))
        self.build(*(start.shape for start in starts))

    def to(
        self, backend: str | None = None, mode: str | None = None, dtype: str | None = None, device: str | None = None
    ) -> Model:
        """Move the model, its weights and its optimizer's slots to another backend, mode, dtype or device."""
        self._known(mode, backend_module(backend) if backend else self.B)
        types = looked_up("dtype", dtype, DTYPES) if dtype else (self.dtype, self.compute)
        held = (self.get_weights(), self.get_slots()) if self.carry else None
        self.backend_argument = backend or self.backend_argument
        self.mode_argument = mode or (None if backend else self.mode_argument)
        (self.dtype, self.compute), self.device = types, device or self.device
        self.B, self.carry, self.compiled = None, None, {}
        if held:
            self.initial, slots = held
            self.set_slots(slots, self.t)
        return self

    def save(self, path: str | Path) -> None:
        """Write weights, optimizer state, counts of updates and epochs and the random stream to an .npz file.

        It is atomic: at any moment the old file is there or the new one.
        """
        saving.save(self, path)

    def load(self, path: str | Path) -> None:
        """Put what `save` wrote into this model of the same layers; into its optimizer too, if it is compiled.

        Raises ValueError, before anything is changed, where the file is no saved model or its shapes differ.
        """
        saving.load(self, path)

    def summary(self) -> str:
        """A table of the layers: name, kind, output shape and number of parameters."""
        return saving.summary(self)


class Sequential(Model):
    """A chain of layers. `inputs` is the shape of one example; without it the first data decide."""

    def __init__(
        self, layers: Sequence[Layer], inputs: Any = None, backend: str | None = None, mode: str | None = None,
        dtype: str = "float32", device: str = "cpu", seed: int = 0,
    ) -> None:  # fmt: skip
        self._start(backend, mode, dtype, device, seed)
        self.plan = [Step(layer, (at,)) for at, layer in enumerate(layers)]
        if inputs is not None:
            self.build(inputs)


def _visit(symbol: Symbol, order: list[Symbol]) -> None:
    """Depth first: every symbol after what it reads."""
    if any(symbol is known for known in order):
        return
    for source in symbol.sources:
        _visit(source, order)
    order.append(symbol)
