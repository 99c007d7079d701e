"""How a place in a sequence is told to a model: rotary pairs, sinusoids, tables; and what ports make of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from suites.port.hypotheses.causes import cause, short
from suites.port.hypotheses.program import Program
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.rotations import ROTARY, Rotary, measure, rotaries, rotated

Array = np.ndarray
OFFSETS = (0, 1, -1, 2)
CLOSE = 1e-9


def close(found: Array, wanted: Array) -> bool:
    norm = float(np.linalg.norm(wanted))
    return found.shape == wanted.shape and float(np.linalg.norm(found - wanted)) <= CLOSE * norm


def alternatives(program: Program, other: Program, known: Sequence[Array]) -> Iterator[tuple[dict[int, Array], Cause]]:
    """(values that are others, the words) for every place where A tells positions; `known` is what both sides have.

    `other` is B's program: what it rotates by is tried first.
    """
    yield from _other_rotations(program, other, known)
    yield from _other_sinusoids(program)


class Rotation(NamedTuple):
    """Where a side rotates: the value that comes out, what goes in, the axis of the places."""

    at: int
    x: Array
    axis: int
    own: Rotary


def _other_rotations(
    program: Program, other: Program, known: Sequence[Array]
) -> Iterator[tuple[dict[int, Array], Cause]]:
    """Queries and keys together, then each alone."""
    found = list(rotations(program, known))
    theirs = list(dict.fromkeys(each.own for each in rotations(other, known))) if found else []
    for chosen in [found, *([each] for each in found)] if len(found) > 1 else [found]:
        if not chosen:
            continue
        own, alone = chosen[0].own, "" if chosen is found else " of one of queries and keys"
        usual = (replace(each, features=own.features) for each in rotaries())
        for rotary in [*theirs, *usual]:
            if rotary != own and all(fits(rotary, each) for each in chosen):
                changes = {each.at: rotated(rotary, each.x, each.axis, own.count) for each in chosen}
                yield changes, cause("rotary", ROTARY + alone, own.words(), rotary.words())
        yield {each.at: each.x for each in chosen}, cause("rotary", ROTARY + alone, own.words(), "none")


def fits(rotary: Rotary, where: Rotation) -> bool:
    """Whether there are as many places as were measured, and as many features."""
    turns = rotary.turns
    if turns is None:
        return bool(where.x.shape[-1] % 2 == 0)
    examples, places, pairs = turns.shape
    return bool(
        examples in (1, len(where.x)) and places == where.x.shape[where.axis] and 2 * pairs <= where.x.shape[-1]
    )


def rotations(program: Program, known: Sequence[Array]) -> Iterator[Rotation]:
    """Every place where a program rotates; of parts that are joined with what is not rotated, the whole."""
    halves = [np.concatenate(pair, -1) for pair in itertools.permutations(known, 2) if pair[0].shape == pair[1].shape]
    found: list[Rotation] = []
    for step in program.steps:
        y = program.values[step.at]
        if step.name in ("add", "concatenate", "reshape", "stack") and y.ndim > 2 and y.shape[-1] % 2 == 0:
            before = program.before(step.at)
            ids = {at for earlier in before for at in earlier.ids}
            rotation = _rotation(step.at, y, [*(program.values[at] for at in ids), *known, *halves])
            if rotation is not None:
                within = {earlier.at for earlier in before}
                found = [each for each in found if each.at not in within or each.x.size >= rotation.x.size]
                if not any(each.at in within for each in found):  # those that are left within it are as large
                    found.append(rotation)
    yield from found


def _rotation(at: int, y: Array, candidates: Sequence[Array]) -> Rotation | None:
    """Of which value y is a rotation, from a whole position if there is one: half of it is a quarter turn ahead."""
    found = []
    for x in candidates:
        if x.shape != y.shape or x.dtype.kind != "f" or close(x, y):
            continue
        for axis in range(1, x.ndim - 1):
            own = measure(x, y, axis)
            if own is not None and float(own.offset).is_integer():
                return Rotation(at, x, axis, own)
            found += [Rotation(at, x, axis, own)] if own is not None else []
    return found[0] if found else None


class Sinusoid(NamedTuple):
    """Vaswani et al. (2017), section 3.5, or all sines before all cosines."""

    order: str
    base: float = 10_000.0
    offset: int = 0
    divisor: str = "half"

    def words(self) -> str:
        first = f", positions from {self.offset}" if self.offset else ""
        last = "" if self.divisor == "half" else ", the last frequency is the base's"
        return f"{self.order}, base {short(self.base)}{first}{last}"


def sinusoid(code: Sinusoid, places: int, width: int) -> Array:
    """(places, width)."""
    half = width // 2
    steps = half if code.divisor == "half" else max(half - 1, 1)
    angles = (np.arange(places) + code.offset)[:, None] * code.base ** (-np.arange(half) / steps)
    sines, cosines = np.sin(angles), np.cos(angles)
    if code.order == "sines and cosines interleaved":
        return np.stack([sines, cosines], -1).reshape(places, width)
    first = [cosines, sines] if code.order == "all cosines, then all sines" else [sines, cosines]
    return np.concatenate(first, -1)


def sinusoids() -> Iterator[Sinusoid]:
    for order in ("sines and cosines interleaved", "all sines, then all cosines", "all cosines, then all sines"):
        for divisor in ("half", "half less one"):
            for offset in OFFSETS:
                yield Sinusoid(order, 10_000.0, offset, divisor)


def _other_sinusoids(program: Program) -> Iterator[tuple[dict[int, Array], Cause]]:
    """A constant table that is added, or one that is computed."""
    for at, array in program.values.items():
        if not array.size or array.ndim < 2 or array.shape[-1] % 2 or array.dtype.kind != "f" or array.size > 1_000_000:
            continue
        places, width = array.shape[-2:]
        table = array.reshape(-1, places, width)
        own = next((s for s in sinusoids() if close(sinusoid(s, places, width), table[0])), None)
        if own is None:
            continue
        for other in sinusoids():
            if other != own:
                named = cause("sinusoid", "sinusoidal positions", own.words(), other.words())
                yield {at: np.broadcast_to(sinusoid(other, places, width), array.shape)}, named
        yield {at: np.zeros_like(array)}, cause("sinusoid", "sinusoidal positions", own.words(), "none")
