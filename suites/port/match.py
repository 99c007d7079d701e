"""Which parameter of A is which of B: by kind, role, shape and order, or as a mapping file says."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from impls.weights import DRAWS
from suites.port.files import PortError
from suites.runner.workers import Arrays

SWAPS = {2: ((1, 0),), 3: ((2, 1, 0),), 4: ((2, 3, 1, 0), (3, 2, 0, 1))}  # other layouts of a matrix or a kernel


@dataclass(frozen=True)
class Parameter:
    """A weight or a running statistic as its worker describes it, in canonical layout."""

    name: str
    layer: str
    kind: str
    role: str
    trainable: bool
    shape: tuple[int, ...]

    @staticmethod
    def of(description: Mapping[str, Any]) -> Parameter:
        return Parameter(**{**description, "shape": tuple(description["shape"])})


class Table(NamedTuple):
    """A mapping file: B's name of each of A's, and kernels behind a flatten whose rows are (H, W, C) in A only."""

    names: Mapping[str, str] = {}
    rows: Mapping[str, tuple[int, int, int]] = {}


def channels_first(array: np.ndarray, rows: tuple[int, int, int], axis: int) -> np.ndarray:
    """`array` with its `axis`, which runs over (H, W, C), in the order C, H, W."""
    split = np.moveaxis(array, axis, 0).reshape(*rows, *np.delete(array.shape, axis))
    return np.moveaxis(np.moveaxis(split, 2, 0).reshape(-1, *split.shape[3:]), 0, axis)


def channels_last(array: np.ndarray, rows: tuple[int, int, int], axis: int) -> np.ndarray:
    """The way back."""
    height, width, channels = rows
    split = np.moveaxis(array, axis, 0).reshape(channels, height, width, *np.delete(array.shape, axis))
    return np.moveaxis(np.moveaxis(split, 0, 2).reshape(-1, *split.shape[3:]), 0, axis)


@dataclass(frozen=True)
class Pair:
    """A parameter of A and the one of B that holds the same numbers."""

    a: Parameter
    b: Parameter
    rows: tuple[int, int, int] | None = None

    @property
    def axes(self) -> tuple[int, ...] | None:
        """The axes of A's array in the order in which B has them; None: the same order."""
        if self.a.shape == self.b.shape:
            return None
        return next(
            (axes for axes in SWAPS.get(len(self.a.shape), ()) if swapped(self.a.shape, axes) == self.b.shape), None
        )

    def carry(self, array: np.ndarray) -> np.ndarray:
        """A's array as B takes it."""
        array = channels_first(array, self.rows, 0) if self.rows else array
        if self.a.shape != self.b.shape and self.axes is None:  # a GRU with one bias or with two
            return array.sum(0) if array.ndim == 2 else np.stack([array, np.zeros_like(array)])
        return array if self.axes is None else array.transpose(self.axes)

    def back(self, array: np.ndarray) -> np.ndarray:
        """B's array, or its gradient, as A has it."""
        if self.a.shape != self.b.shape and self.axes is None:
            return array[0] if array.ndim == 2 else np.stack([array, array])
        array = array if self.axes is None else array.transpose(np.argsort(self.axes))
        return channels_last(array, self.rows, 0) if self.rows else array


def swapped(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[i] for i in axes)


def fits(a: Parameter, b: Parameter) -> bool:
    """Whether the numbers of one can be those of the other."""
    if a.trainable != b.trainable and "custom" not in (a.kind, b.kind):
        return False
    two = {a.kind, b.kind} == {"gru"} and a.role == b.role == "bias" and a.shape[-1:] == b.shape[-1:]
    known = "custom" not in (a.kind, b.kind) and a.kind == b.kind
    if known and a.role != b.role:
        return False
    return a.shape == b.shape or two or (not known and Pair(a, b).axes is not None)


def match(a: Sequence[Parameter], b: Sequence[Parameter], table: Table) -> list[Pair]:
    """A pair for every parameter. Raises PortError for what is left over or ambiguous, with both lists."""
    pairs = _mapped(a, b, table.names)
    for group in (_exact, _loose):
        pairs += _in_order(_left(a, pairs, "a"), _left(b, pairs, "b"), group)
    left_a, left_b = _left(a, pairs, "a"), _left(b, pairs, "b")
    if left_a or left_b:
        raise PortError(_unmatched(left_a, left_b))
    order = {parameter.name: at for at, parameter in enumerate(a)}
    return _with_rows(sorted(pairs, key=lambda pair: order[pair.a.name]), table.rows)


def _with_rows(pairs: list[Pair], rows: Mapping[str, tuple[int, int, int]]) -> list[Pair]:
    sizes = {pair.a.name: pair.a.shape[0] for pair in pairs if pair.a.shape}
    for name, extents in rows.items():
        if math.prod(extents) != sizes.get(name):
            raise PortError(
                f"the mapping file gives {name!r} rows {list(extents)}: it has {sizes.get(name, 'no')} rows"
            )
    return [replace(pair, rows=rows.get(pair.a.name)) for pair in pairs]


def _left(parameters: Sequence[Parameter], pairs: Sequence[Pair], side: str) -> list[Parameter]:
    taken = {getattr(pair, side).name for pair in pairs}
    return [parameter for parameter in parameters if parameter.name not in taken]


def _exact(p: Parameter) -> object:
    """What kind of layer, what role, what shape."""
    return p.kind, p.role, p.trainable, p.shape if (p.kind, p.role) != ("gru", "bias") else p.shape[-1:]


def _loose(p: Parameter) -> object:
    """The shape up to the order of its axes: for weights of a user's own layers."""
    return p.trainable, tuple(sorted(p.shape))


def _in_order(a: Sequence[Parameter], b: Sequence[Parameter], group: Callable[[Parameter], object]) -> list[Pair]:
    """Pairs of those groups that are equally large on both sides."""
    pairs = []
    for key in dict.fromkeys(map(group, a)):
        ours, theirs = ([p for p in side if group(p) == key] for side in (a, b))
        if len(ours) == len(theirs):
            _refuse_crossed(ours, theirs)
            pairs += [Pair(one, other) for one, other in zip(ours, theirs, strict=True) if fits(one, other)]
    return pairs


def _refuse_crossed(a: Sequence[Parameter], b: Sequence[Parameter]) -> None:
    """Names that say one order and calls that say another: neither is to be trusted."""
    ours, theirs = ([p.layer for p in side] for side in (a, b))
    if sorted(ours) == sorted(theirs) and ours != theirs and len(set(ours)) == len(ours):
        raise PortError(
            f"the layers {', '.join(ours)} have equal shapes, and B uses them in another order ({', '.join(theirs)}): "
            f"say in a mapping file (--map) which is which" + _both(a, b)
        )


def _both(a: Sequence[Parameter], b: Sequence[Parameter]) -> str:
    lines = ["", "  A:", *(_line(p) for p in a), "  B:", *(_line(p) for p in b)]
    if a and b:
        other = next((p for p in b if fits(a[0], p)), b[0])
        lines += ["  a line of the mapping file (TOML):", f'    "{a[0].name}" = "{other.name}"']
    return "\n".join(lines)


def _line(parameter: Parameter) -> str:
    return f"    {parameter.name:<32} {parameter.kind} {parameter.role}, {parameter.shape}"


def _unmatched(a: Sequence[Parameter], b: Sequence[Parameter]) -> str:
    count = f"{len(a)} of A and {len(b)} of B"
    return f"parameters without a counterpart: {count}; give the pairs in a mapping file (--map)" + _both(a, b)


def mapping(path: str | None) -> Table:
    """The mapping file: `"A name" = "B name"`, and `"A name" = [H, W, C]` under [rows]. Raises PortError."""
    if path is None:
        return Table()
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PortError(f"{path}: can't be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PortError(f"{path}: is no TOML: {error}") from error
    rows = table.pop("rows", {})
    for name, value in table.items():
        if not isinstance(value, str):
            raise PortError(f'{path}: {name!r}: write "A name" = "B name"')
    for name, value in rows.items():
        if not isinstance(value, list) or len(value) != 3 or not all(isinstance(n, int) for n in value):
            raise PortError(f"{path}: [rows] {name!r}: write the height, width and channels, [4, 4, 8]")
    return Table(table, {name: (value[0], value[1], value[2]) for name, value in rows.items()})


def _mapped(a: Sequence[Parameter], b: Sequence[Parameter], table: Mapping[str, str]) -> list[Pair]:
    ours, theirs = {p.name: p for p in a}, {p.name: p for p in b}
    for name, known, side in [(n, ours, "A") for n in table] + [(n, theirs, "B") for n in table.values()]:
        if name not in known:
            raise PortError(f"the mapping file names {name!r}, {side} has {', '.join(known)}")
    if len(set(table.values())) < len(table):
        raise PortError("the mapping file names a parameter of B twice")
    pairs = [Pair(ours[name], theirs[value]) for name, value in table.items()]
    for pair in pairs:
        loose = pair.axes is not None or pair.a.shape == pair.b.shape or fits(pair.a, pair.b)
        if not loose:
            raise PortError(
                f"the mapping file gives {pair.a.name} {pair.a.shape} to {pair.b.name} {pair.b.shape}: "
                "these shapes can't hold the same numbers"
            )
    return pairs


def draw(pairs: Sequence[Pair], seed: int) -> Arrays:
    """Random canonical weights for A: no bias is zero, no running statistic is trivial. Each has its own stream."""
    found = {}
    for at, pair in enumerate(pairs):
        rng = np.random.RandomState([seed, at])
        role = pair.a.role if pair.a.role in DRAWS else pair.b.role
        shape = pair.a.shape
        if role in DRAWS and (len(shape) > 1 or "kernel" not in role):
            value = DRAWS[role](rng, shape)
        else:  # a user's own: positive where it could be a variance
            value = DRAWS["kernel"](rng, shape) if len(shape) > 1 else rng.uniform(0.5, 1.5, shape)
        found[pair.a.name] = np.asarray(value, np.float32).astype(np.float64)
    return found
