"""What a hypothesis is asked: A's part of a pass and B's, from where both agree to where they part; its answer."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from impls.known_differences import DIFFERENCES
from suites.port.layouts import aligned, distance, orders
from suites.port.recording import Call, Op

SINGLE = 2.0**-21  # relative: what an engine's constant in float32 may change, a few operations on
IN_FLOAT32 = DIFFERENCES["float64_in_float32"].port
GROWN = 16.0  # times: what a region may make of a small distance of what comes in
NORM_ROUNDING = 1e-12  # relative: what the order of a sum may change in the norm of the largest value
ROUNDINGS = 1e4  # so many roundings of its operands a value of a region may be off: far below any change of meaning


OF_A_SIDE = re.compile(r"(?<=\bof )[AB]\b(?! \{)|\b[AB](?='s\b)")  # a side that the words speak of
OTHER = {"A": "B", "B": "A"}


@dataclass(frozen=True)
class Entry:
    """A value where both sides come in; `partner` is the other side's with the same numbers, None where it has none."""

    id: int
    array: np.ndarray
    partner: int | None
    origin: str = ""  # where it comes from, in a few words


@dataclass(frozen=True)
class Part:
    """One side of a region: operations in order, what goes in, what comes out, and everything between, by value id.

    `call` is the layer, where the region ends at the output of one; `weights` are its weights by role, A's numbers on
    both sides, in the canonical layout. `training` says which mode it is.
    """

    ops: tuple[Op, ...]
    entries: tuple[Entry, ...]
    exit_id: int
    exit: np.ndarray
    values: Mapping[int, np.ndarray] = field(repr=False)
    call: Call | None = None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    own: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)  # all weights of the side, by name, native

    def op(self, *names: str) -> Op | None:
        """The first operation of one of these canonical names."""
        return next((op for op in self.ops if op.name in names), None)

    def named(self, *names: str) -> list[Op]:
        """All operations of these canonical names."""
        return [op for op in self.ops if op.name in names]

    def reads(self, op: Op) -> list[np.ndarray]:
        """The arrays of the values that an operation reads, those that were kept."""
        return [self.values[at] for at in op.values if at in self.values]


@dataclass(frozen=True, eq=False)
class Same:
    """A part by its identity: its arrays can't be hashed."""

    part: Part

    def __hash__(self) -> int:
        return id(self.part)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.part is self.part


@dataclass(frozen=True)
class Question:
    """Which alternative to what A does gives what B gives?"""

    phase: str
    kind: str  # of the region, see `suites.port.graph.Region`
    a: Part
    b: Part
    unit: float
    layer: tuple[str, str] | None = None
    single: bool = False  # whether an engine computes something of it in float32
    entering: float = 0.0  # relative: how far apart what comes in is on both sides, as an engine's float32 leaves it

    @property
    def training(self) -> bool:
        return self.phase == "training"

    def agrees(self, found: np.ndarray) -> bool:
        """Whether `found` is what B gives, up to rounding, in whatever order of axes."""
        return same(found, self.b.exit, self.tolerance)

    @property
    def tolerance(self) -> float:
        rounding = ROUNDINGS * self.unit * math.sqrt(max(self.b.exit.size, 1))
        return max(rounding, GROWN * self.entering, SINGLE if self.single else 0.0)

    def swapped(self) -> Question:
        """The same with the sides exchanged: a hypothesis that is one of B's layers is asked so."""
        layer = self.layer[::-1] if self.layer else None
        return replace(self, a=self.b, b=self.a, layer=layer)


def same(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    """Whether two arrays hold the same numbers in some order of their axes."""
    if found.size != wanted.size or not _as_large(found, wanted, tolerance):
        return False
    if found.dtype.kind != wanted.dtype.kind and "c" in (found.dtype.kind, wanted.dtype.kind):
        return False
    slim_a = found.reshape([n for n in found.shape if n != 1])
    slim_b = wanted.reshape([n for n in wanted.shape if n != 1])
    for order in orders(slim_a, slim_b.shape):
        if distance(slim_b, slim_a.transpose(order)) <= tolerance:
            return True
    if distance(wanted.ravel(), found.ravel()) <= tolerance:
        return True
    return slim_a.ndim != slim_b.ndim and aligned(slim_b, slim_a, tolerance, merged=True)


def _as_large(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    """Whether the norms allow it: their difference is never more than the distance, in any order of axes."""
    with np.errstate(over="ignore", invalid="ignore"):
        ours, theirs = (float(np.linalg.norm(sizes_of(array))) for array in (found, wanted))
    apart = abs(ours - theirs)
    return not math.isfinite(apart) or apart <= (tolerance + NORM_ROUNDING) * (theirs or 1.0)


def sizes_of(array: np.ndarray) -> np.ndarray:
    return np.abs(array).ravel() if array.dtype.kind == "c" else array.astype(np.float64).ravel()


@dataclass(frozen=True)
class Cause:
    """A difference by its name: `template` says it with {a} and {b} for the two sides' values, other braces doubled.

    `released`: what a comparison of ports calls a row of `impls.known_differences`, which no port can avoid. `factor`
    is what B's numbers are multiplied by, beside A's, where the cause is a factor.
    """

    signature: str
    template: str
    a: str = ""
    b: str = ""
    released: str = ""
    factor: float = 1.0

    def words(self) -> str:
        return self.template.format(a=self.a, b=self.b)

    def swapped(self) -> Cause:
        """The same cause told of exchanged sides."""
        template, a, b = (
            OF_A_SIDE.sub(lambda found: OTHER[found[0]], text) for text in (self.template, self.a, self.b)
        )
        return replace(self, template=template, a=b, b=a, factor=1 / self.factor)


class Hypothesis(Protocol):
    """Yields the causes that turn what A does into what B does; nothing where it does not fit."""

    def __call__(self, question: Question) -> Iterator[Cause]: ...
