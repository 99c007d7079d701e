"""A side's operations in plain NumPy, so that one of them can be changed and what follows is computed again.

What an engine means by an operation is found by trying: a meaning counts if it gives the recorded output of the
recorded inputs. Operations that only move numbers are taken as the map from places to places that their recorded input
and output show. What is not understood stays as it was recorded.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from suites.port.hypotheses import meanings
from suites.port.hypotheses.composed import COMPOSED, as_softmax
from suites.port.hypotheses.formulas import ACTIVATIONS, ERF, gelu, gelu_tanh, log_softmax, sigmoid, softmax
from suites.port.hypotheses.placing import placed
from suites.port.hypotheses.program import REDUCTIONS, Array, Function, Program, Step, close, over, reducing
from suites.port.hypotheses.question import Part, Same
from suites.port.hypotheses.spectra import transforms
from suites.port.recording import Op, Operand

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
NUMBERS = ("other", "exponent", "value", "argument1", "argument2")  # attributes that hold an operand


def understand(part: Part) -> Program:
    """A part as a program; of the last few that were asked for, as it was found."""
    return _understand(Same(part))


@functools.lru_cache(maxsize=8)
def _understand(same: Same) -> Program:
    """All steps that can be computed again; operations that can't are left out and stay as recorded."""
    part = same.part
    values = {at: np.asarray(array) for at, array in part.values.items() if np.size(array)}
    steps: list[Step] = []
    fresh = itertools.count(-2, -1)
    for op in part.ops:
        for made in _steps(op, part, values, fresh):
            steps.append(as_softmax(made, steps, values))
            values.setdefault(made.at, made.run(values))
    return Program(tuple(steps), values, part.exit_id)


def _steps(op: Op, part: Part, values: Mapping[int, Array], fresh: Iterator[int]) -> list[Step]:
    if op.name in COMPOSED:
        return COMPOSED[op.name](op, part, values, fresh)
    found = []
    inputs = _inputs(op, part, values)
    if inputs is None:
        return []
    for at in op.outputs:
        if at not in values:
            continue
        step = _understood(op, inputs, at, values)
        if step is not None:
            found.append(step)
    return found


def _inputs(op: Op, part: Part, values: Mapping[int, Array]) -> tuple[int | Array, ...] | None:
    """Ids of values, and the arrays of what is constant; None where a number was not kept."""
    found: list[int | Array] = []
    for operand in op.inputs:
        if op.name == "concatenate" and operand.value is not None and not np.size(part.values.get(operand.value, 1)):
            continue  # an empty rest of what is cut
        read = _operand(operand, part, values)
        if read is None:
            return None
        found.append(read)
    for name in NUMBERS:
        number = op.attributes.get(name)
        if isinstance(number, (int, float)) and not isinstance(number, bool) and op.name in {*BINARY, "masked_fill"}:
            found.append(np.asarray(float(number)))
    ends = [end for end in (_end(op, key) for key in CLIP_ENDS) if end is not None] if op.name == "clip" else []
    found += [np.asarray(end) for end in ends]
    return tuple(found)


def _operand(operand: Operand, part: Part, values: Mapping[int, Array]) -> int | Array | None:
    if operand.value is not None:
        return operand.value if operand.value in values else None
    if operand.weights:
        return part.own.get(operand.weights[0]) if len(operand.weights) == 1 else None
    try:
        return np.asarray(operand.literal, float)
    except (TypeError, ValueError):
        return np.asarray(0.0)


def _understood(op: Op, inputs: tuple[int | Array, ...], at: int, values: Mapping[int, Array]) -> Step | None:
    arrays = [values[each] if isinstance(each, int) else each for each in inputs]
    wanted = values[at]
    for name, used, function, axis in _named_meanings(op, arrays, wanted.shape):
        chosen = [arrays[i] for i in used]
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(function(chosen))
        except (ValueError, IndexError, TypeError):
            continue
        if close(found, wanted):
            return Step(name, tuple(inputs[i] for i in used), at, function, op, axis)
    return (
        _movement(op, inputs, at, values)
        or _activation(op, inputs, at, values)
        or _unnamed(op, inputs, at, arrays, wanted)
    )


def _further(op: Op) -> meanings.Further:
    """What only an operation of some name is tried for."""
    epsilon, groups = op.attributes.get("epsilon"), op.attributes.get("groups")
    if op.name in ("matmul", "linear", "einsum"):
        return meanings.flat_product
    if op.name == "conv":
        return meanings.convolved
    if op.name in ("layer_norm", "group_norm", "instance_norm"):
        return lambda arrays, wanted: meanings.normalisations(op.name, epsilon, groups, arrays)
    return lambda arrays, wanted: itertools.chain(transforms(arrays, wanted), placed(arrays, wanted))


def _unnamed(op: Op, inputs: tuple[int | Array, ...], at: int, arrays: Sequence[Array], wanted: Array) -> Step | None:
    """Whatever gives these numbers, under any name."""
    found = meanings.found_in(arrays, wanted, _further(op))
    if found is None:
        return None
    name, used, function, axis = found
    return Step(name, tuple(inputs[i] for i in used), at, function, op, axis)


def _activation(op: Op, inputs: tuple[int | Array, ...], at: int, values: Mapping[int, Array]) -> Step | None:
    """A function of one value under a name of the engine's own."""
    if len(inputs) != 1 or not isinstance(inputs[0], int):
        return None
    x, wanted = values[inputs[0]], values[at]
    for name, function in ACTIVATIONS.items() if x.shape == wanted.shape and x.dtype.kind == "f" else ():
        if name not in ("linear", "softmax", "log_softmax") and close(np.asarray(function(x)), wanted):
            return Step(name, inputs, at, _one(function), op)
    return None


def _meanings(op: Op, arrays: Sequence[Array], shape: tuple[int, ...]) -> Iterator[Meaning]:
    """(which inputs, what is done with them, over which axes): everything that the operation's name may mean."""
    name, first = op.name, arrays[0] if arrays else np.zeros(0)
    if name in ("softmax", "log_softmax"):
        function = softmax if name == "softmax" else log_softmax
        for axis in [first.ndim - 1, *range(first.ndim - 1)]:
            yield (0,), over(function, axis), (axis,)
    elif name in UNARY:
        yield (0,), _one(UNARY[name]), ()
        if name == "gelu":
            yield (0,), _one(gelu_tanh), ()
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


def _named_meanings(
    op: Op, arrays: Sequence[Array], shape: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...], Function, tuple[int, ...]]]:
    """What an operation may mean, with the name of that."""
    name = CLIPS.get(tuple(key for key in CLIP_ENDS if _end(op, key) is not None), op.name)
    for meaning in _meanings(op, arrays, shape):
        yield name if op.name == "clip" else op.name, *meaning
    if op.name in OTHER_NAMES and arrays:
        for meaning in _reducing(OTHER_NAMES[op.name], arrays[0], shape):
            yield OTHER_NAMES[op.name], *meaning


CLIP_ENDS = ("min", "max")
CLIPS: dict[tuple[str, ...], str] = {("min",): "maximum", ("max",): "minimum"}


def _end(op: Op, key: str) -> float | None:
    value = op.attributes.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _clipping(op: Op) -> Iterator[Meaning]:
    """Between two numbers; with one of them it is a maximum or a minimum (whose number is the second input)."""
    low, high = (_end(op, key) for key in CLIP_ENDS)
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


def _one(function: Callable[[Array], Array]) -> Function:
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
    equation = next((v for v in (*op.attributes.values(), *(o.literal for o in op.inputs)) if _is_equation(v)), None)
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


def _is_equation(value: object) -> bool:
    return isinstance(value, str) and "->" in value


def _movement(op: Op, inputs: tuple[int | Array, ...], at: int, values: Mapping[int, Array]) -> Step | None:
    """Each number of the output is one of the inputs': the map of places, where all numbers are different."""
    used = [each for each in inputs if isinstance(each, int) or each.ndim]
    pool = np.concatenate([plain(np.ravel(values[e] if isinstance(e, int) else e)) for e in used] or [np.zeros(0)])
    wanted = values[at]
    if (pool.dtype.kind == "c") != (wanted.dtype.kind == "c"):
        return None
    order = np.argsort(pool, kind="stable")
    ranked = pool[order]
    if not len(ranked) or not wanted.size:
        return None
    place = np.clip(np.searchsorted(ranked, plain(np.ravel(wanted))), 0, len(ranked) - 1)
    exact = ranked[place] == np.ravel(wanted)
    distinct = len(ranked) < 2 or bool((ranked[1:] != ranked[:-1]).all())
    if not exact.all() or not distinct:
        return _same_order(op, inputs, at, values)
    source, shape = order[place], wanted.shape
    return Step(op.name, tuple(used), at, lambda a: _gathered(a, source, shape), op, moves=True)


def plain(array: Array) -> Array:
    """As numbers of one type: complex ones as they are, any others as float64."""
    return array if array.dtype.kind == "c" else array.astype(float)


def _gathered(arrays: Sequence[Array], source: Array, shape: tuple[int, ...]) -> Array:
    pool = np.concatenate([np.ravel(array) for array in arrays])
    return np.asarray(pool[source].reshape(shape))


def _same_order(op: Op, inputs: tuple[int | Array, ...], at: int, values: Mapping[int, Array]) -> Step | None:
    """Reshapes and broadcasts of arrays with equal numbers: a mask, a table of positions."""
    wanted = values[at]
    for each in inputs:
        array = values[each] if isinstance(each, int) else each
        for function in (lambda a: a[0].reshape(wanted.shape), lambda a: np.broadcast_to(a[0], wanted.shape)):
            try:
                if np.array_equal(function([array]), wanted):
                    return Step(op.name, (each,), at, function, op, moves=True)
            except ValueError:
                continue
        for axes in itertools.permutations(range(array.ndim)):
            if array.ndim == wanted.ndim and np.array_equal(array.transpose(axes), wanted):
                return Step(op.name, (each,), at, _transposing(axes), op, moves=True)
    return _window(op, inputs, at, values)


def _window(op: Op, inputs: tuple[int | Array, ...], at: int, values: Mapping[int, Array]) -> Step | None:
    """A slice along one axis, or several inputs joined along one."""
    wanted = values[at]
    arrays = [values[each] if isinstance(each, int) else each for each in inputs]
    for axis in range(wanted.ndim):
        joined = tuple(each for each, array in zip(inputs, arrays, strict=True) if array.ndim == wanted.ndim)
        if len(joined) > 1 and _close_join([a for a in arrays if a.ndim == wanted.ndim], axis, wanted):
            return Step(op.name, joined, at, _joining(axis), op, moves=True)
    for each, array in zip(inputs, arrays, strict=True):
        for axis, start in itertools.product(range(array.ndim), range(max(array.shape, default=0))):
            for function in (_cutting(axis, start, wanted), _picking(axis, start)):
                found = _tried(function, array)
                if found is not None and found.shape == wanted.shape and np.array_equal(found, wanted):
                    return Step(op.name, (each,), at, function, op, moves=True)
    return None


def _tried(function: Function, array: Array) -> Array | None:
    try:
        return function([array])
    except (ValueError, IndexError):
        return None


def _close_join(arrays: Sequence[Array], axis: int, wanted: Array) -> bool:
    try:
        return np.array_equal(np.concatenate(arrays, axis), wanted)
    except ValueError:
        return False


def _joining(axis: int) -> Function:
    return lambda a: np.concatenate(list(a), axis)


def _cutting(axis: int, start: int, wanted: Array) -> Function:
    def function(a: Sequence[Array]) -> Array:
        length = wanted.shape[axis] if a[0].ndim == wanted.ndim else 0
        return np.asarray(a[0].take(np.arange(start, start + length), axis))

    return function


def _picking(axis: int, start: int) -> Function:
    return lambda a: a[0].take(start, axis)


def _transposing(axes: tuple[int, ...]) -> Function:
    return lambda a: a[0].transpose(axes)
