"""What is known of one side of a port: the graph of each pass, and what it gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from impls import port_messages
from impls.floating_types import UNIT
from impls.port_messages import Operation, PassFacts, WeightFacts
from suites.runner.workers import Arrays

MODES = ("inference", "training")


@dataclass(frozen=True)
class Weight:
    """A parameter or a running statistic, as its worker describes it; `shape` is that of the canonical layout."""

    name: str
    layer: str
    kind: str
    role: str
    trainable: bool
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @staticmethod
    def of(description: WeightFacts) -> Weight:
        return Weight(
            name=description["name"],
            layer=description["layer"],
            kind=description["kind"],
            role=description["role"],
            trainable=description["trainable"],
            shape=tuple(description["shape"]),
        )


@dataclass(frozen=True)
class Value:
    """A tensor that was computed. `print` does not depend on the order of its axes; None for what has no numbers."""

    id: int
    shape: tuple[int, ...]
    dtype: str
    print: np.ndarray | None
    array: np.ndarray | None = None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Operand:
    """What an operation reads: a value, the weights that lie in one tensor, or a number that was written out."""

    value: int | None = None
    weights: tuple[str, ...] = ()
    literal: object = None

    @staticmethod
    def of(description: port_messages.Operand) -> Operand:
        return Operand(description.get("value"), tuple(description.get("weights", ())), description.get("literal"))


@dataclass(frozen=True)
class Op:
    """One operation: its canonical name, the engine's own, where it is, what it reads, is told and gives."""

    at: int
    name: str
    raw: str
    scope: tuple[str, ...]
    inputs: tuple[Operand, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[int, ...]
    line: str

    @property
    def layer(self) -> str:
        return self.scope[-1] if self.scope else ""

    @property
    def values(self) -> list[int]:
        """The ids of the values it reads."""
        return [operand.value for operand in self.inputs if operand.value is not None]

    @property
    def weights(self) -> list[str]:
        """The names of the weights it reads."""
        return [name for operand in self.inputs for name in operand.weights]

    @staticmethod
    def of(description: Operation) -> Op:
        return Op(
            at=description["at"],
            name=description["name"],
            raw=description["raw"],
            scope=tuple(description["scope"]),
            inputs=tuple(map(Operand.of, description["inputs"])),
            attributes=description["attributes"],
            outputs=tuple(description["outputs"]),
            line=description["line"],
        )


@dataclass(frozen=True)
class Call:
    """One call of a layer: the operations `first` to `last` are inside of it."""

    name: str
    kind: str
    class_name: str
    config: Mapping[str, Any]
    weights: tuple[str, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    first: int
    last: int

    @staticmethod
    def of(description: port_messages.Call) -> Call:
        return Call(
            name=description["name"],
            kind=description["kind"],
            class_name=description["class_name"],
            config=description["config"],
            weights=tuple(description["weights"]),
            inputs=tuple(description["inputs"]),
            outputs=tuple(description["outputs"]),
            first=description["first"],
            last=description["last"],
        )


@dataclass(frozen=True)
class Dropout:
    """A dropout that was left out of a pass: what it would have dropped, and how much of it."""

    layer: str
    rate: float
    kind: str
    value: int | None
    active: bool
    line: str


@dataclass(frozen=True)
class Pass:
    """One pass of a model in one mode, as a graph."""

    mode: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int | None]
    values: tuple[Value, ...]
    ops: tuple[Op, ...]
    calls: tuple[Call, ...]
    dropouts: tuple[Dropout, ...]
    neutral: bool = True
    moved: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)  # unwatched, watched
    producers: Mapping[int, Op] = field(default_factory=dict, repr=False)
    readers: Mapping[int, tuple[Op, ...]] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(body: PassFacts, arrays: Arrays) -> Pass:
        """From a worker's answer to `record`."""
        ops = tuple(map(Op.of, body["ops"]))
        values = []
        for at, value in enumerate(body["values"]):
            prints = None if value["print"] is None else np.array(value["print"])
            shape = tuple(value["shape"])
            values.append(Value(at, shape, value["dtype"], prints, arrays.get(f"value/{at}")))
        producers = {at: op for op in ops for at in op.outputs}
        calls = tuple(map(Call.of, body["calls"]))
        dropouts = tuple(Dropout(**dropout) for dropout in body["dropouts"])
        return Pass(
            mode=body["mode"],
            inputs=body["inputs"],
            outputs=body["outputs"],
            values=tuple(values),
            ops=ops,
            calls=calls,
            dropouts=dropouts,
            neutral=body.get("neutral", True),
            moved=_moved(arrays),
            producers=producers,
            readers=_readers(ops),
        )

    @cached_property
    def needed(self) -> frozenset[int]:
        """The values that an output depends on."""
        found: set[int] = set()
        waiting = [at for at in self.outputs.values() if at is not None]
        while waiting:
            at = waiting.pop()
            if at in found:
                continue
            found.add(at)
            made = self.producers.get(at)
            waiting += made.values if made is not None else []
        return frozenset(found)

    def call_of(self, op: Op) -> Call | None:
        """The innermost call that an operation is inside of."""
        around = [call for call in self.calls if call.first <= op.at <= call.last and call.name == op.layer]
        return around[0] if around else None


def _moved(arrays: Arrays) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Outputs of which watching changed a bit."""
    paths = [name.removeprefix("plain/") for name in arrays if name.startswith("plain/")]
    return {path: (arrays[f"plain/{path}"], arrays[f"output/{path}"]) for path in paths if f"output/{path}" in arrays}


def _readers(ops: Iterable[Op]) -> dict[int, tuple[Op, ...]]:
    found: dict[int, tuple[Op, ...]] = {}
    for op in ops:
        for at in op.values:
            found[at] = (*found.get(at, ()), op)
    return found


@dataclass
class Recording:
    """All that is known of one side. `arrays` holds what it gave, by tensor name: `output/inference/out`, `loss` ..."""

    title: str
    path: str
    api: str
    backend: str
    weights: list[Weight] = field(default_factory=list)
    start: Arrays = field(default_factory=dict)
    unit: float = UNIT["float64"]
    passes: dict[str, Pass] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)
    spread: Arrays = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    turned: bool = False
    has_loss: bool = False
    training_mode: bool = True
    no_gradients: str = ""  # why the engine has none

    def group(self, prefix: str) -> Arrays:
        """The tensors whose names start so, by what comes behind."""
        return {name[len(prefix) :]: array for name, array in self.arrays.items() if name.startswith(prefix)}

    @property
    def steps(self) -> int:
        """How many optimizer steps it made."""
        return len({name.split("/")[1] for name in self.arrays if name.startswith("step/")})
