"""What an operation may mean by its name: each meaning as a function of its inputs, to be tried."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from suites.port.hypotheses.formulas import ERF, gelu, gelu_tanh, log_softmax, sigmoid, softmax
from suites.port.hypotheses.program import REDUCTIONS, Array, Function, over, reducing
from suites.port.recording import Op

UNARY: dict[str, Callable[[Array], Array]] = {
    "abs": np.abs, "cast": lambda x: x, "cos": np.cos, "erf": lambda x: np.asarray(ERF(x), float),
    "erfc": lambda x: 1 - np.asarray(ERF(x), float), "exp": np.exp, "gelu": gelu, "identity": lambda x: x,
    "log": np.log, "log_softmax": log_softmax, "logical_not": np.logical_not, "negative": np.negative,
    "relu": lambda x: np.maximum(x, 0), "rsqrt": lambda x: 1 / np.sqrt(x), "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x), "sin": np.sin, "softmax": softmax, "softplus": lambda x: np.logaddexp(0.0, x),
    "sqrt": np.sqrt, "square": np.square, "stopgradient": lambda x: x, "tanh": np.tanh,
}  # fmt: skip
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add, "divide": np.divide, "equal": np.equal, "greater": np.greater,
    "greater_equal": np.greater_equal, "less": np.less, "less_equal": np.less_equal,
    "logical_and": np.logical_and, "logical_or": np.logical_or, "matmul": np.matmul, "maximum": np.maximum,
    "minimum": np.minimum, "multiply": np.multiply, "not_equal": np.not_equal, "power": np.power,
    "rdivide": lambda a, b: b / a, "rsubtract": lambda a, b: b - a, "squareddifference": lambda a, b: (a - b) ** 2,
    "subtract": np.subtract,
}  # fmt: skip
OTHER_NAMES = {"variance": "unbiased variance"}  # what an operation may be as well
Meaning = tuple[tuple[int, ...], Function, tuple[int, ...]]
CLIP_ENDS = ("min", "max")
CLIPS: dict[tuple[str, ...], str] = {("min",): "maximum", ("max",): "minimum"}


def _meanings(op: Op, arrays: Sequence[Array], shape: tuple[int, ...]) -> Iterator[Meaning]:
    """(which inputs, what is done with them, over which axes): everything that the operation's name may mean."""
    name, first = op.name, arrays[0] if arrays else np.zeros(0)
    if name in ("softmax", "log_softmax"):
        function = softmax if name == "softmax" else log_softmax
        for axis in [first.ndim - 1, *range(first.ndim - 1)]:
            yield (0,), over(function, axis), (axis,)
    elif name in UNARY:
        yield (0,), of_one(UNARY[name]), ()
        if name == "gelu":
            yield (0,), of_one(gelu_tanh), ()
    elif name in BINARY and len(arrays) > 1:
        numbers = op.attributes.get("dimension_numbers")
        if numbers:
            yield (0, 1), _contracting(numbers, arrays[0].ndim, arrays[1].ndim), ()
        yield from _of_two(name, len(arrays))
    elif name in REDUCTIONS:
        yield from _reducing(name, first, shape)
    elif name == "clip" and arrays:
        yield from _clipping(op)
    elif name == "rms_norm" and arrays:
        yield tuple(range(len(arrays))), _root_mean_square(op, shape), ()
    elif name in ("where", "masked_fill") and len(arrays) > 2:
        for order in itertools.permutations(range(3)):
            yield order, lambda a: np.where(a[0].astype(bool), a[1], a[2]), ()
    elif name == "linear" and len(arrays) > 1:
        yield from _linear(len(arrays))
    elif name == "einsum" and len(arrays) > 1:
        yield from _einsum(op)
    elif name in ("gather", "slice") and len(arrays) > 1 and all(array.dtype.kind in "iu" for array in arrays[1:]):
        yield from _looked_up(len(arrays), shape)
    elif name == "index_add" and len(arrays) == 3:
        yield (0, 1, 2), _adding_rows(op.attributes.get("argument1", op.attributes.get("axis", 0))), ()


def named_meanings(
    op: Op, arrays: Sequence[Array], shape: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...], Function, tuple[int, ...]]]:
    """What an operation may mean, with the name of that."""
    name = CLIPS.get(tuple(key for key in CLIP_ENDS if clip_end(op, key) is not None), op.name)
    for meaning in _meanings(op, arrays, shape):
        yield name if op.name == "clip" else op.name, *meaning
    if op.name in OTHER_NAMES and arrays:
        for meaning in _reducing(OTHER_NAMES[op.name], arrays[0], shape):
            yield OTHER_NAMES[op.name], *meaning


def clip_end(op: Op, key: str) -> float | None:
    value = op.attributes.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _clipping(op: Op) -> Iterator[Meaning]:
    """Between two numbers; with one of them it is a maximum or a minimum (whose number is the second input)."""
    low, high = (clip_end(op, key) for key in CLIP_ENDS)
    if (low is None) == (high is None):
        yield (0,), lambda a: np.clip(a[0], low, high), ()
    else:
        function = BINARY["maximum" if high is None else "minimum"]
        yield (0, 1), lambda a: function(a[0], a[1]), ()


def _root_mean_square(op: Op, shape: tuple[int, ...]) -> Function:
    """x / sqrt(mean(x^2) + epsilon) times the weight, over the axes that the operation names."""
    count = len(op.attributes.get("shape") or (0,))
    axes = tuple(range(len(shape) - count, len(shape)))
    epsilon = op.attributes.get("epsilon")
    floor = float(epsilon) if isinstance(epsilon, (int, float)) else float(np.finfo(float).eps)

    def function(a: Sequence[Array]) -> Array:
        x = a[0] / np.sqrt((a[0] ** 2).mean(axes, keepdims=True) + floor)
        return np.asarray(x * a[1] if len(a) > 1 else x)

    return function


def of_one(function: Callable[[Array], Array]) -> Function:
    return lambda a: function(a[0])


def _of_two(name: str, count: int) -> Iterator[Meaning]:
    function = BINARY[name]
    for one, other in itertools.permutations(range(count), 2):
        yield (one, other), lambda a: function(a[0], a[1]), ()
        if name == "matmul":
            yield (one, other), lambda a: a[0] @ a[1].swapaxes(-1, -2), ()
            yield (one, other), lambda a: a[0].swapaxes(-1, -2) @ a[1], ()


def _contracting(numbers: Any, left: int, right: int) -> Function:
    """JAX's dot_general of arrays with so many axes: ((contracted), (batch)), each a pair of lists of axes."""
    (contract_a, contract_b), (batch_a, batch_b) = numbers
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    first = [next(letters) for _ in range(left)]
    second = [next(letters) for _ in range(right)]
    for a, b in zip((*contract_a, *batch_a), (*contract_b, *batch_b), strict=True):
        second[b] = first[a]
    batch = [first[at] for at in batch_a]
    free_a = [letter for at, letter in enumerate(first) if at not in (*contract_a, *batch_a)]
    free_b = [letter for at, letter in enumerate(second) if at not in (*contract_b, *batch_b)]
    equation = f"{''.join(first)},{''.join(second)}->{''.join([*batch, *free_a, *free_b])}"
    return lambda a: np.einsum(equation, a[0], a[1])


def _linear(count: int) -> Iterator[Meaning]:
    """x W + b, W as it is or transposed."""
    used = tuple(range(min(count, 3)))
    for turn in (False, True):
        yield used, _affine(turn), ()


def _affine(turn: bool) -> Function:
    def function(a: Sequence[Array]) -> Array:
        kernel = a[1].T if turn else a[1]
        return np.asarray(a[0] @ kernel + (a[2] if len(a) > 2 else 0.0))

    return function


def _reducing(name: str, x: Array, shape: tuple[int, ...]) -> Iterator[Meaning]:
    keep = len(shape) == x.ndim
    for count in range(1, x.ndim + 1):
        for axes in itertools.combinations(range(x.ndim), count):
            yield (0,), reducing(name, axes, keep), axes


def _einsum(op: Op) -> Iterator[Meaning]:
    literals = [operand.literal for operand in op.inputs]
    equation = next(filter(_is_equation, [*op.attributes.values(), *literals]), None)
    if equation is not None:
        for used in ((0, 1), (1, 2)):
            yield used, lambda a: np.einsum(equation, a[0], a[1]), ()


def _adding_rows(axis: object) -> Function:
    """torch's index_add: numbers that are added to some places along an axis, twice where a place is named twice."""

    def function(a: Sequence[Array]) -> Array:
        found = np.moveaxis(np.array(a[0]), int(str(axis)), 0)
        np.add.at(found, a[1].astype(int), np.moveaxis(a[2], int(str(axis)), 0))
        return np.moveaxis(found, 0, int(str(axis)))

    return function


def _looked_up(count: int, shape: tuple[int, ...]) -> Iterator[Meaning]:
    """Numbers of a table by one array of places for each axis, or by one array whose last axis has them all."""
    used = tuple(range(count))
    yield used, lambda a: a[0][tuple(each.astype(int) for each in a[1:])].reshape(shape), ()
    if count == 2:
        yield used, lambda a: a[0][tuple(np.moveaxis(a[1].astype(int), -1, 0))], ()
        for axis in range(len(shape)):
            yield used, _taken(axis, shape), ()


def _taken(axis: int, shape: tuple[int, ...]) -> Function:
    return lambda a: np.take(a[0], a[1].astype(int), axis).reshape(shape)


def _is_equation(value: object) -> bool:
    return isinstance(value, str) and "->" in value
