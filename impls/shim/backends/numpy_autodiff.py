"""Reverse-mode differentiation of NumPy code: a tape of nodes, and the two ways to write a primitive.

A primitive computes its value and returns with it `back`, the function from the gradient of the value to the
gradients of its array arguments (the vector-Jacobian product), written out.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from impls.shim.backends.contract import Array, Arrays, Differentiated, Function

Gradients: TypeAlias = Sequence[Array | None]  # of each argument; None where it has none
Back: TypeAlias = Callable[[Array], Gradients]
Primitive: TypeAlias = tuple[Array, Back]  # what the function of a primitive returns

COUNTER = itertools.count()


class Node:
    """An array on the tape: its value, the arguments it came from, and the way back to their gradients."""

    __slots__ = ("args", "back", "order", "value")
    __array_ufunc__ = None  # so that `ndarray * Node` asks the Node

    def __init__(self, value: Array, args: tuple[object, ...] = (), back: Back | None = None) -> None:
        self.value, self.args, self.back, self.order = value, args, back, next(COUNTER)

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)


def bare(x: Array) -> Array:
    """The array of a node; anything else as it is."""
    return x.value if isinstance(x, Node) else x


def primitive(function: Function) -> Function:
    """Record a function that returns `(value, back)` or `(value, back, *constants)`."""

    @functools.wraps(function)
    def call(*args: Array, **options: object) -> Array:
        value, back, *constants = function(*map(bare, args), **options)
        if any(isinstance(a, Node) for a in args):
            value = Node(value, args, back)
        return (value, *constants) if constants else value

    return call


def elementwise(function: Function, *derivatives: Function) -> Function:
    """A primitive from the table: one derivative an argument, each of `(*arguments, value)`."""

    @primitive
    def apply(*args: Array) -> Primitive:
        y = np.asarray(function(*args))

        def back(gradient: Array) -> list[Array]:
            slopes = [derivative(*args, y) for derivative in derivatives]
            return [fit_to(gradient * slope, arg) for arg, slope in zip(args, slopes, strict=False)]

        return y, back

    return apply


def fit_to(gradient: Array, array: Array) -> Array:
    """Sum a gradient over the axes along which `array` was broadcast."""
    shape = np.shape(array)
    gradient = gradient.sum(tuple(range(gradient.ndim - len(shape))))
    return gradient.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True).reshape(shape)


add = elementwise(np.add, lambda a, b, y: 1.0, lambda a, b, y: 1.0)
multiply = elementwise(np.multiply, lambda a, b, y: b, lambda a, b, y: a)
subtract = elementwise(np.subtract, lambda a, b, y: 1.0, lambda a, b, y: -1.0)
divide = elementwise(np.divide, lambda a, b, y: 1 / b, lambda a, b, y: -y / b)


@primitive
def take(x: Array, index: object) -> Primitive:
    """`x[index]` by a basic index, which names each place once."""

    def back(g: Array) -> Gradients:
        out = np.zeros_like(x)
        out[index] = g
        return [out]

    return x[index], back


def compared(compare: Function) -> Function:
    """A comparison, which has no gradient."""
    return lambda a, b: compare(a.value, b)


OPERATORS: dict[str, Function] = {
    "add": add, "radd": add, "mul": multiply, "rmul": multiply, "truediv": divide, "getitem": take,
    "sub": subtract, "rsub": lambda a, b: subtract(b, a), "neg": lambda a: multiply(a, -1.0),
    "gt": compared(operator.gt), "le": compared(operator.le), "lt": compared(operator.lt),
}  # fmt: skip
for name, function in OPERATORS.items():
    setattr(Node, f"__{name}__", function)


def gradients(function: Function, weights: Arrays, rest: Sequence[object]) -> Differentiated:
    """`((loss, aux), gradients)` of `function(weights, *rest)`, which returns `(loss, aux)`."""
    leaves = {name: Node(value) for name, value in weights.items()}
    loss, aux = function(leaves, *rest)
    known, waiting = {loss.order: np.ones_like(loss.value)}, {loss.order: loss}
    while waiting:  # newest first: every user of a node is newer than the node
        order = max(waiting)
        node = waiting.pop(order)
        for parent, gradient in zip(node.args, node.back(known[order]) if node.back else (), strict=False):
            if isinstance(parent, Node):
                known[parent.order] = known.get(parent.order, 0) + gradient
                waiting[parent.order] = parent
    grads = {name: np.asarray(known.get(leaf.order, np.zeros_like(leaf.value))) for name, leaf in leaves.items()}
    return (loss.value, aux), grads
