"""Functions of symbols: what a shim's function becomes while PyTensor or Theano trace it, and how it is compiled.

A `Tensor` exists only there; everywhere else an array is NumPy's own. The first axis of the data has no fixed extent in
a graph, so that one compilation serves batches of every size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType, SimpleNamespace
from typing import NamedTuple, TypeAlias

import numpy as np

from impls.shim import backends
from impls.shim.backends.contract import Array, Carry, Function, Shape

Index: TypeAlias = int | slice | tuple[int | slice | None, ...] | None
Extents: TypeAlias = Sequence[int | None]  # a shape; None is an extent that varies


class Engine(NamedTuple):
    """What the engines call by other names, and their module, whose other names they share."""

    module: ModuleType
    tensor: ModuleType | SimpleNamespace  # its functions of tensors
    symbol: Callable[[str, Extents], Array]  # (dtype, extents); None is an extent that varies
    scan: Function  # its outputs as a list

    def compile(self, function: Function, carry: Carry, mode: str) -> Function:
        """`function(carry, ..., columns)`, compiled for each type and shape of an example, for batches of any size."""
        known: dict[object, tuple[Function, Array]] = {}

        def run(*args: Array) -> Array:
            arrays = [np.asarray(leaf) for leaf in _leaves(args)]
            key = tuple([(a.dtype, a.shape[1:]) for a in arrays[-len(args[-1]) :]])
            if key not in known:
                known[key] = _traced(self, function, args)
            call, shape = known[key]
            return _regrown(shape, iter(call(*arrays)))

        return run

    def compile_epoch(self, step: Function, carry: Carry, mode: str, shape: tuple[int, ...]) -> Function:
        """An epoch as a loop of compiled steps."""
        return backends.python_epoch(self.compile(step, carry, mode), backends.batches, np.stack)


class Tensor:
    """A node of a graph with the extents that are known when it is traced: None is one that varies."""

    __slots__ = ("engine", "extents", "node")
    __array_ufunc__ = None  # so that `ndarray * Tensor` asks the Tensor
    __hash__ = None  # type: ignore[assignment]  # == builds a graph

    def __init__(self, engine: Engine, node: Array, extents: Iterable[int | None]) -> None:
        self.engine, self.node, self.extents = engine, node, tuple(extents)

    dtype = property(lambda self: np.dtype(self.node.dtype))

    @property
    def shape(self) -> Shape:
        """Numbers, and scalars of the graph for extents that vary."""
        pairs = enumerate(self.extents)
        return tuple(Tensor(self.engine, self.node.shape[at], ()) if n is None else n for at, n in pairs)

    def __getitem__(self, index: Index) -> Array:
        return Tensor(self.engine, self.node[index], _indexed(self.extents, index))


def _indexed(extents: Extents, index: Index) -> tuple[int | None, ...]:
    """The extents of `x[index]`, asked of a NumPy array that takes no memory; one that varies is indexed by `:`."""
    any_size = math.prod(n or 1 for n in extents) + 1  # larger than the other extents
    found = np.broadcast_to(np.int8(0), [any_size if n is None else n for n in extents])[index].shape
    return tuple(None if n == any_size else n for n in found)


def _broadcast(*shapes: Extents) -> tuple[int | None, ...]:
    """The extents of an elementwise result; one that varies meets itself, or is known from the other side."""
    rank = max(map(len, shapes))
    columns = zip(*[(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes], strict=True)
    return tuple([_met(column) for column in columns])


def _met(column: Extents) -> int | None:
    """What extents along one axis come to: the one that is not 1, and a known one before one that varies."""
    others = [n for n in column if n != 1]
    known = [n for n in others if n is not None]
    if known:
        return max(known)
    return None if others else 1


def first_float(args: Sequence[Array]) -> Tensor:
    """The argument whose type decides: the first tensor of floats, or the first tensor."""
    tensors = [a for a in args if isinstance(a, Tensor)]
    return next((t for t in tensors if t.dtype.kind == "f"), tensors[0])


def constant(value: Array, engine: Engine) -> Tensor:
    """A tensor as it is, an array or a number as a constant."""
    if isinstance(value, Tensor):
        return value
    return Tensor(engine, engine.tensor.as_tensor_variable(np.asarray(value)), np.shape(value))


def lifted(value: Array, like: Tensor) -> Tensor:
    """Anything as a tensor; numbers that meet floats become floats of the same width."""
    tensor = constant(value, like.engine)
    if tensor.dtype == like.dtype or like.dtype.kind != "f" or tensor.dtype.kind not in "iuf":
        return tensor
    return Tensor(like.engine, tensor.node.astype(str(like.dtype)), tensor.extents)


def elementwise(name: str) -> Function:
    """The engine's function of that name, over tensors, arrays and numbers."""

    def call(*args: Array) -> Array:
        like = first_float(args)
        tensors = [lifted(a, like) for a in args]
        node = getattr(like.engine.tensor, name)(*[t.node for t in tensors])
        return Tensor(like.engine, node, _broadcast(*(t.extents for t in tensors)))

    return call


def _reversed(function: Function) -> Function:
    return lambda self, other: function(other, self)


OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "true_div",
    "eq": "eq", "ne": "neq", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "or": "or_",
}  # fmt: skip
for _method, _name in OPERATORS.items():
    setattr(Tensor, f"__{_method}__", elementwise(_name))
    setattr(Tensor, f"__r{_method}__", _reversed(elementwise(_name)))


def _leaves(tree: object) -> list[Array]:
    """What is in nested dicts, lists and tuples, in order."""
    if not isinstance(tree, (dict, list, tuple)):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree
    return [leaf for branch in branches for leaf in _leaves(branch)]


def _regrown(tree: Array, leaves: Iterator[Array]) -> Array:
    """The same nest with other leaves."""
    if isinstance(tree, dict):
        return {name: _regrown(branch, leaves) for name, branch in tree.items()}
    if isinstance(tree, (list, tuple)):
        return tuple(_regrown(branch, leaves) for branch in tree)
    return next(leaves)


def _traced(engine: Engine, function: Function, args: tuple[Array, ...]) -> tuple[Function, Array]:
    """The compiled function of all leaves, and the nest of its results."""
    *held, columns = args
    symbols = [engine.symbol(str(a.dtype), a.shape) for a in map(np.asarray, _leaves(held))]
    extents = [np.shape(a) for a in _leaves(held)] + [(None, *a.shape[1:]) for a in columns]
    symbols += [engine.symbol(str(a.dtype), (None, *a.shape[1:])) for a in columns]
    tensors = [Tensor(engine, *pair) for pair in zip(symbols, extents, strict=True)]
    found = function(*_regrown(args, iter(tensors)))
    results = [constant(leaf, engine).node for leaf in _leaves(found)]
    call = engine.module.function(symbols, results, on_unused_input="ignore")
    return call, found
