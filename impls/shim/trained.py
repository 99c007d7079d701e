"""What training, data, files and callbacks need of a model; `model.Model` has it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from impls.shim.backends.contract import Array, Arrays, Backend, Carry, Function, Shape
from impls.shim.layers import Layer, Run, Weight
from impls.shim.loss_scale import LossScale
from impls.shim.optimizers import Optimizer

if TYPE_CHECKING:
    from impls.shim.losses import Loss
    from impls.shim.metrics import Metric


class Placed(Protocol):
    """One layer of a plan, the values that it reads, and what it gives."""

    layer: Layer
    sources: tuple[int, ...]
    output_shape: Shape


class Model(Protocol):
    """A network that is trained; weights and slots are canonical NumPy arrays by their names."""

    input_names: tuple[str, ...]
    input_keys: tuple[str, ...]  # what the user calls the inputs
    input_shapes: list[Shape]
    output_shape: Shape
    dtype: str
    compute: str | None
    device: str
    mode: str
    unroll: bool | None
    rng: np.random.Generator
    B: Backend
    carry: Carry
    optimizer: Optimizer | None
    loss: Loss
    measures: tuple[Metric, ...]
    learning_rate: float | None
    loss_scale: LossScale
    t: int  # updates done
    epoch: int
    traces: int
    stop: bool
    choices: dict[str, str]

    @property
    def plan(self) -> Sequence[Placed]: ...
    @property
    def layers(self) -> list[Layer]: ...
    @property
    def declared(self) -> dict[str, Weight]: ...
    @property
    def scaled(self) -> bool: ...

    def apply(self, p: Arrays, x: Array | Sequence[Array], run: Run) -> Array: ...
    def reader(self, at: int) -> Layer: ...
    def trainable_names(self) -> list[str]: ...
    def get_weights(self) -> dict[str, np.ndarray]: ...
    def set_weights(self, weights: dict[str, np.ndarray] | Sequence[np.ndarray]) -> None: ...
    def get_slots(self) -> dict[str, np.ndarray]: ...
    def set_slots(self, slots: dict[str, np.ndarray], t: int) -> None: ...
    def fresh_slots(self) -> dict[str, np.ndarray]: ...
    def compare(self, given: Mapping[str, Array], expected: Mapping[str, Weight | np.ndarray], what: str) -> None: ...
    def save(self, path: str | Path) -> None: ...
    def save_weights(self, path: str | Path) -> None: ...
    def load(self, path: str | Path) -> None: ...
    def function(self, kind: str, names: tuple[str, ...] = ()) -> Function: ...
    def form(self, kind: str, names: Sequence[str]) -> Function: ...
    def native(self, value: np.ndarray) -> Array: ...
    def parameters(self) -> Carry: ...
    def step(self, *columns: Array, names: tuple[str, ...] = ("x", "y")) -> Array: ...
    def step_on(self, columns: dict[str, np.ndarray]) -> Array: ...
    def rates(self, steps: int) -> np.ndarray: ...
    def named(self, values: Array, prefix: str = "") -> dict[str, float]: ...
