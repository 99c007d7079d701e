"""What a worker of the port checker answers of a pass and of weights: one description for it and for who asks."""

from __future__ import annotations

from typing import Any, NotRequired, TypeAlias, TypedDict

Config: TypeAlias = dict[str, Any]  # settings of a layer, an operation or an optimizer, as JSON has them


class Operand(TypedDict, total=False):
    """What an operation reads: one of these."""

    value: int  # the id of a value of this pass
    weights: list[str]
    literal: object  # numbers of a small constant, None for a key


class Value(TypedDict):
    """A tensor of a pass; `print` is None for what has no numbers."""

    shape: list[int]
    dtype: str
    print: list[float] | None


class Operation(TypedDict):
    """One operation of a pass: its canonical name and the engine's, what it reads, is told and gives."""

    at: int
    name: str
    raw: str
    scope: list[str]
    inputs: list[Operand]
    attributes: Config
    outputs: list[int]
    line: str


class Call(TypedDict):
    """One call of a layer; `first` and `last` are the operations inside of it."""

    name: str
    kind: str
    class_name: str
    config: Config
    weights: list[str]
    inputs: list[int]
    outputs: list[int]
    first: int
    last: int


class Dropped(TypedDict):
    """A dropout that was left out; `value` is what it was given."""

    layer: str
    rate: float
    kind: str
    value: int | None
    active: bool
    line: str


class WeightFacts(TypedDict):
    """What the measuring side knows of a weight."""

    name: str
    layer: str
    kind: str
    role: str
    trainable: bool
    shape: list[int]


class PassFacts(TypedDict):
    """The answer to `record`: the graph of a pass. Its arrays are `value/<id>`, and `output/<path>` of its outputs."""

    mode: str
    inputs: dict[str, int]  # ids of values by the names of inputs
    outputs: dict[str, int | None]
    values: list[Value]
    ops: list[Operation]
    calls: list[Call]
    dropouts: list[Dropped]
    neutral: NotRequired[bool]  # whether watching changed no bit
