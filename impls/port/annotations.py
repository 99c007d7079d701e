"""The types that annotations of this room name. They are imported for a type checker alone: Python 3.6 has no such."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

import numpy as np

from impls import port_messages

Arrays: TypeAlias = dict[str, np.ndarray]  # by name, in canonical layout
# A tensor, a variable, a layer or a model of an engine, or what holds several: their types have no ancestor in common,
# and an interpreter that checks types has no engine.
Native: TypeAlias = Any
Args: TypeAlias = tuple[Native, ...]
Kwargs: TypeAlias = dict[str, Native]
Natives: TypeAlias = dict[str, Native]  # by name
Tree: TypeAlias = Any  # natives in nested dicts, lists or modules, as a library has them
Function: TypeAlias = Callable[..., Native]
Program: TypeAlias = Any  # the user's file as a module, or what stands for it: `build`, `loss_fn` and the like

Config: TypeAlias = port_messages.Config
Configure: TypeAlias = Callable[[Native], Config]  # of a layer
Kind: TypeAlias = tuple[str, Configure]
Described: TypeAlias = tuple[str, str, Config, list[str]]  # of a layer: kind, class name, settings, names of weights
Convention: TypeAlias = tuple[str, tuple[str, ...]]  # how inputs are handed over; see `conventions`

Key: TypeAlias = int | str  # what a trace knows a tensor by: its identity, or its name in a graph
Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = dict[str, Shape]  # of the arrays of a layer, by path inside of it
Axes: TypeAlias = Sequence[int]

Read: TypeAlias = Callable[[Sequence[np.ndarray]], np.ndarray]  # native arrays of a weight to the canonical one
Write: TypeAlias = Callable[[np.ndarray], list[np.ndarray]]  # and back
Ways: TypeAlias = tuple[Read, Write]
MaybeWays: TypeAlias = tuple[Read | None, Write | None]  # None: they are the same
Slopes: TypeAlias = Sequence[Native]  # the gradient of each trained tensor, None where none comes back
LossAndSlopes: TypeAlias = tuple[Native, Slopes]

Setting: TypeAlias = Any  # a value as JSON has it
Request: TypeAlias = dict[str, Any]
Answer: TypeAlias = tuple[dict[str, Any], Arrays]
Serve: TypeAlias = Callable[[Request, Arrays], Answer]


class Watchable(Protocol):
    """What a recorder asks of a port."""

    trace: Any  # a `Trace`, or None

    def dropped(self, kind: str, rate: float, tensor: Native, active: bool) -> None: ...

    def overridden(self, ids: Sequence[int], outputs: Sequence[Native], output: Native) -> Native: ...


class FunctionsOfUser(Protocol):
    """What training asks of a port of plain functions."""

    program: Program
    model: Native
    backend: str
    params: Natives

    def trained(self) -> list[str]: ...

    def value_and_grads(self, args: Args, kwargs: Kwargs, y: Native, whole: bool = ...) -> LossAndSlopes: ...


class TwoGraphs(Protocol):
    """A port of Keras 2, which has a graph for each mode."""

    models: Natives
    drops: dict[str, list[tuple[Native, float]]]
    weights: list[Any]  # of `Weight`

    def both(self, weight: Any) -> tuple[Native, Native]: ...


class Engine(Protocol):
    """What Keras's three backends do differently for a port of Keras; see `keras_engines`."""

    def layer(
        self, port: Any, path: str, kind: str, config: Config, class_name: str, given: Native
    ) -> AbstractContextManager[Function]: ...

    def dropped(self, port: Any, kind: str, rate: float, tensor: Native) -> Native: ...

    def identity(self, variable: Native) -> Key: ...

    def new_trace(self, port: Any, keep: int) -> Any: ...

    def call(self, port: Any, args: Args, kwargs: Kwargs, training: bool) -> Native: ...

    def gradients(
        self, port: Any, variables: Sequence[Native], args: Args, kwargs: Kwargs, y: Native, whole: bool
    ) -> LossAndSlopes: ...

    def watching(self, port: Any) -> Native: ...

    def finish(self, port: Any, trace: Any) -> None: ...


class Watcher(Protocol):
    """What `torch_recorder.Functions` asks: of a port of torch, or of `Watched` where layers take care of noise."""

    @property
    def trace(self) -> Any: ...

    draws: Any

    def drop(self, kind: str, tensor: Native, p: float = ..., training: bool = ..., inplace: bool = ...) -> Native: ...

    def dropped(self, kind: str, rate: float, tensor: Native, active: bool) -> None: ...

    def disturb(self, name: str, given: Sequence[Native], output: Native) -> Native: ...

    def overridden(self, ids: Sequence[int], outputs: Sequence[Native], output: Native) -> Native: ...
