"""What a campaign asks of an engine, as plain data, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypedDict

import numpy as np

Arrays: TypeAlias = dict[str, np.ndarray]
Native: TypeAlias = Any  # an array, a variable or a module of an engine: their types have no ancestor in common
Layer: TypeAlias = dict[str, Any]  # "kind", "name" and the options of that kind
Program: TypeAlias = dict[str, Any]  # what a written program defines, by name
Function: TypeAlias = Callable[..., Native]  # of arrays of an engine


class Input(TypedDict):
    """An input of a network: the shape of one example; ids are integers below `ids`, 0: numbers."""

    shape: list[int]
    ids: int
    fill: str


class Network(TypedDict):
    """What `suites.campaign.generator.Network` is on the way to an engine."""

    seed: int
    dtype: str
    batch: int
    inputs: list[Input]
    layers: list[Layer]
    loss: str
    optimizer: tuple[str, dict[str, Any]]
    weights: str
    steps: int
    version: int


class Expression(TypedDict):
    """One expression of an engine's API, in its type and mode; `options` are the names in it that are no arrays."""

    api: str
    mode: str
    dtype: str
    expression: str
    options: dict[str, Any]


class Observer(Protocol):
    """What a module of an API has: everything that a realisation shows of a network, by tensor."""

    def observe(self, network: Network, arrays: Arrays, engine: str, mode: str, source: str) -> Arrays:
        """`source` is the program, where the API runs one."""
