"""CUDA graphs of PyTorch: a call captured once for the shapes of its inputs, then replayed without Python.

What a captured call reads and writes lies where it lay when it was captured: weights, statistics and slots in the
tensors of the carry of that moment, data and rates in buffers that every call fills. The first call of new shapes runs
as it is written, which also warms the libraries up; the second one is captured. A call that cannot be captured goes on
as it is written, and a warning says why.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from impls import private_apis
from impls.shim import backends
from impls.shim.backends.contract import Array, Carry, Columns, Function, Rates, Stepped

private_apis.check(__name__)

capturing = False  # then nothing can be asked of the GPU
MOST_GRAPHS = 16  # each holds memory of its own: a call of more shapes runs as it is written for the rest of them
CHUNK = 16  # updates of an epoch in one graph

Replayed: TypeAlias = Callable[[Carry, Sequence[Array]], Stepped]


class Cuda:
    """The GPU's own recorder."""

    @staticmethod
    def reason_against(device: torch.device) -> str:
        """Why what runs on `device` cannot be captured, or nothing."""
        return "" if device.type == "cuda" else f"CUDA graphs need a GPU, and the model is on the {device.type}"

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()
        self.pool = torch.cuda.graph_pool_handle()  # outputs are copied at once, so that graphs can share it

    def warm(self, call: Callable[[], Stepped]) -> Stepped:
        """Run `call` where it will be captured: libraries keep their workspaces by stream."""
        outer = torch.cuda.current_stream()
        self.stream.wait_stream(outer)
        with torch.cuda.stream(self.stream):
            result = call()
        outer.wait_stream(self.stream)
        return result

    def capture(self, call: Callable[[], Array | None]) -> tuple[Callable[[], None], Array | None]:
        """How to replay what `call` asks of the GPU, and the tensors that it returned; nothing is computed yet."""
        graph = torch.cuda.CUDAGraph()
        torch._C._cuda_clearCublasWorkspaces()  # the graph gets one of its own: others are freed by torch.compile
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            result = call()
        torch._C._cuda_clearCublasWorkspaces()
        return graph.replay, result


def leaves(carry: Carry) -> list[Array]:
    """All tensors of a carry, in its order."""
    return [tensor for part in carry.values() for tensor in part.values()]


@torch.no_grad()  # type: ignore[untyped-decorator]
def put(places: Sequence[Array], values: Sequence[Array]) -> None:
    """Copy each value into its place, unless it is there."""
    moved = [(place, value) for place, value in zip(places, values, strict=True) if place is not value]
    if moved:
        torch._foreach_copy_([place for place, _ in moved], [value for _, value in moved])


class Graph:
    """One captured call: where it reads and writes, and how to replay it."""

    def __init__(
        self, function: Replayed, carry: Carry, inputs: Sequence[Array], fixed: Array | None, recorder: Any
    ) -> None:
        self.parts = {part: tuple(tensors.values()) for part, tensors in carry.items()}
        self.carry = {part: dict(tensors) for part, tensors in carry.items()}
        self.inputs: list[Array] = [
            tensor if tensor is fixed else torch.empty_like(tensor).copy_(tensor) for tensor in inputs
        ]

        def update() -> Array | None:
            new, value = function(carry, self.inputs)
            put(leaves(self.carry), leaves(new))
            return value

        global capturing
        capturing = True
        try:
            self.replay, self.value = recorder.capture(update)
        finally:
            capturing = False

    def fits(self, inputs: Sequence[Array]) -> bool:
        """Whether inputs have the shapes and types of those that it was captured with."""
        for own, other in zip(self.inputs, inputs, strict=True):
            if own is not other and (own.shape != other.shape or own.dtype != other.dtype):
                return False
        return True

    def __call__(self, carry: Carry, inputs: Sequence[Array]) -> Stepped:
        """The call on other values; what it returns is the caller's own but for the carry."""
        for part, tensors in self.parts.items():
            if not all(map(operator.is_, carry[part].values(), tensors)):  # weights or slots were set from outside
                put(leaves(self.carry), leaves(carry))
                carry = {part: dict(tensors) for part, tensors in self.carry.items()}
                break
        for own, other in zip(self.inputs, inputs, strict=True):
            if own is not other:
                own.copy_(other.detach() if other.requires_grad else other)
        self.replay()
        if isinstance(self.value, list):  # several outputs
            return carry, [value.clone() for value in self.value]
        return carry, None if self.value is None else self.value.clone()


class Captured:
    """A function `(carry, inputs)` -> `(carry, value)` of tensors as graphs, one for each set of shapes.

    `fixed` is an input that is always the same tensor, so that no graph needs a buffer for it.
    """

    def __init__(self, function: Replayed, title: str, fixed: Array | None = None) -> None:
        self.function, self.title, self.fixed = function, title, fixed
        self.graphs: dict[object, Graph | None] = {}
        self.latest: Graph | None = None
        self.recorder: Any = None
        self.reason = ""  # why it is not captured any more

    def __call__(self, carry: Carry, inputs: Sequence[Array]) -> Stepped:
        if self.latest is not None and self.latest.fits(inputs):
            return self.latest(carry, inputs)
        with torch.no_grad():
            return self._call(carry, inputs)

    def _call(self, carry: Carry, inputs: Sequence[Array]) -> Stepped:
        key = tuple([(tensor.shape, tensor.dtype) for tensor in inputs])
        if self.reason or (key not in self.graphs and len(self.graphs) >= MOST_GRAPHS):
            return self.function(carry, inputs)
        if key not in self.graphs:
            return self._first(key, carry, inputs)
        graph = self.graphs[key]
        if graph is None:
            try:
                graph = self.graphs[key] = Graph(self.function, carry, inputs, self.fixed, self.recorder)
            except RuntimeError as error:
                self._give_up(first_cause(error))
                return self.function(carry, inputs)
        self.latest = graph
        return graph(carry, inputs)

    def _first(self, key: object, carry: Carry, inputs: Sequence[Array]) -> Stepped:
        """The first call of new shapes."""
        if self.recorder is None and (reason := Cuda.reason_against(leaves(carry)[0].device)):
            self._give_up(reason)
            return self.function(carry, inputs)
        self.recorder = self.recorder or Cuda()
        self.graphs[key] = None
        found: Stepped = self.recorder.warm(lambda: self.function(carry, inputs))
        return found

    def _give_up(self, reason: str) -> None:
        """From now on as it is written."""
        self.reason = reason
        self.graphs.clear()
        self.latest = None
        warnings.warn(f"mode 'graph': the {self.title} runs as eager: {self.reason}", stacklevel=2)


def first_cause(error: BaseException) -> str:
    """What the operation said that could not be captured: the end of a capture raises another error after it."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).strip().splitlines()[0]


def rates_tensor(rates: Rates, like: Array) -> Array:
    """Rates, one row an update, on the device of a weight and in its type."""
    return torch.as_tensor(rates, dtype=like.dtype).to(like.device, non_blocking=True)


class Step:
    """`run(carry, rates, columns)`: the whole step, the update included, as one replay."""

    def __init__(self, step: Function, carry: Carry) -> None:
        self.step, self.like = step, leaves(carry)[0]
        self.places: tuple[Array, ...] = ()  # one number on the device for each rate
        self.captured: Captured | None = None

    def __call__(self, carry: Carry, rates: Rates, columns: Columns) -> Stepped:
        if self.captured is None:
            self.rates = torch.zeros(len(rates), dtype=self.like.dtype, device=self.like.device)
            self.places = self.rates.unbind()
            self.captured = Captured(self._function, "training step", self.rates)
        for place, rate in zip(self.places, rates, strict=True):
            place.fill_(rate)  # the number travels with the kernel: a copy from the host would be waited for
        found: Stepped = self.captured(carry, (self.rates, *columns))
        return found

    def _function(self, carry: Carry, inputs: Sequence[Array]) -> Stepped:
        found: Stepped = self.step(carry, self.places, inputs[1:])
        return found


def compile_epoch(step: Function, carry: Carry, shape: tuple[int, ...]) -> Function:
    """`run(carry, rates, columns, batch)`: CHUNK updates a replay, then single ones, then the ragged last batch."""
    like = leaves(carry)[0]

    def function(carry: Carry, inputs: Sequence[Array]) -> Stepped:
        rates, *columns = inputs  # (updates, rates); columns of as many equal batches
        total = carry["total"]["values"]
        size = len(columns[0]) // len(rates)
        now = {part: tensors for part, tensors in carry.items() if part != "total"}
        for at, row in enumerate(rates.unbind()):
            now, value = step(now, row.unbind(), [c[at * size : (at + 1) * size] for c in columns])
            total = total + value * size
        return {**now, "total": {"values": total}}, None

    captured = Captured(function, "epoch")

    def run(carry: Carry, rates: Array, columns: Columns, batch: int) -> Stepped:
        table = rates_tensor(rates, like)
        state: Carry = {**carry, "total": {"values": table.new_zeros(shape)}}
        for first, last in backends.chunks(len(columns[0]), batch, CHUNK):
            part = [column[first * batch : last * batch] for column in columns]
            state, _ = captured(state, (table[first:last], *part))
        total = state.pop("total")["values"]
        return state, total.clone()  # the next epoch writes where this one has its total

    return run


def compile_inference(function: Function) -> Function:
    """`run(carry, columns)`."""
    captured = Captured(lambda carry, columns: (carry, function(carry, columns)), "prediction")
    return lambda carry, columns: captured(carry, columns)[1]
