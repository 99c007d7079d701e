"""How a place in a sequence is told to a model: rotary pairs, sinusoids, tables; and what ports make of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from suites.port.hypotheses.causes import cause, short
from suites.port.hypotheses.program import Program
from suites.port.hypotheses.question import Cause

Array = np.ndarray
BASES = (10_000.0, 500_000.0, 1_000_000.0, 100_000.0, 1_000.0)
OFFSETS = (0, 1, -1, 2)
CLOSE = 1e-9


class Rotary(NamedTuple):
    """Su et al. (2021), equation 34: which numbers are a pair, the base, and the position of the first place."""

    pairs: str = "halves"
    base: float = 10_000.0
    offset: int = 0
    sign: int = 1

    def words(self) -> str:
        turned = "" if self.sign == 1 else ", turned the other way"
        first = f", positions from {self.offset}" if self.offset else ""
        return f"pairs of {self.pairs}, base {short(self.base)}{first}{turned}"


def rotated(rotary: Rotary, x: Array, axis: int) -> Array:
    """x (..., d) rotated by its place along `axis`."""
    half = x.shape[-1] // 2
    places = (np.arange(x.shape[axis]) + rotary.offset) * rotary.sign
    angles = places[:, None] * rotary.base ** (-np.arange(half) / half)
    shape = [1] * x.ndim
    shape[axis], shape[-1] = x.shape[axis], half
    cos, sin = np.cos(angles).reshape(shape), np.sin(angles).reshape(shape)
    if rotary.pairs == "halves":
        one, two = x[..., :half], x[..., half:]
        return np.concatenate([one * cos - two * sin, two * cos + one * sin], -1)
    one, two = x[..., ::2], x[..., 1::2]
    return np.stack([one * cos - two * sin, two * cos + one * sin], -1).reshape(x.shape)


def rotaries() -> Iterator[Rotary]:
    for pairs in ("halves", "neighbours"):
        for base in BASES:
            for offset in OFFSETS:
                for sign in (1, -1):
                    yield Rotary(pairs, base, offset, sign)


def close(found: Array, wanted: Array) -> bool:
    norm = float(np.linalg.norm(wanted))
    return found.shape == wanted.shape and float(np.linalg.norm(found - wanted)) <= CLOSE * norm


def alternatives(program: Program, known: Sequence[Array]) -> Iterator[tuple[dict[int, Array], Cause]]:
    """(values that are others, the words) for every place where A tells positions; `known` is what both sides have."""
    yield from _other_rotations(program, known)
    yield from _other_sinusoids(program)


class Rotation(NamedTuple):
    """Where A rotates: the value that comes out, what goes in, the axis of the places."""

    at: int
    x: Array
    axis: int
    own: Rotary


def _other_rotations(program: Program, known: Sequence[Array]) -> Iterator[tuple[dict[int, Array], Cause]]:
    """Queries and keys together, then each alone."""
    found = list(_rotations(program, known))
    for chosen in [found, *([each] for each in found)] if len(found) > 1 else [found]:
        if not chosen:
            continue
        own, alone = chosen[0].own, "" if chosen is found else " of one of queries and keys"
        for other in rotaries():
            if other != own:
                changes = {each.at: rotated(other, each.x, each.axis) for each in chosen}
                yield changes, cause("rotary", f"rotary positions{alone}", own.words(), other.words())
        yield {each.at: each.x for each in chosen}, cause("rotary", f"rotary positions{alone}", own.words(), "none")


def _rotations(program: Program, known: Sequence[Array]) -> Iterator[Rotation]:
    halves = [np.concatenate(pair, -1) for pair in itertools.permutations(known, 2) if pair[0].shape == pair[1].shape]
    for step in program.steps:
        y = program.values[step.at]
        if step.name in ("add", "concatenate", "reshape", "stack") and y.ndim > 2 and y.shape[-1] % 2 == 0:
            ids = {at for earlier in program.before(step.at) for at in earlier.ids}
            found = _rotation(step.at, y, [*(program.values[at] for at in ids), *known, *halves])
            if found is not None:
                yield found


def _rotation(at: int, y: Array, candidates: Sequence[Array]) -> Rotation | None:
    """Of which value y is a rotation."""
    for x in candidates:
        if x.shape != y.shape or x.dtype.kind != "f" or close(x, y):
            continue
        for axis in range(1, x.ndim - 1):
            own = next((r for r in rotaries() if close(rotated(r, x, axis), y)), None)
            if own is not None:
                return Rotation(at, x, axis, own)
    return None


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
            for base in BASES[:1]:
                for offset in OFFSETS:
                    yield Sinusoid(order, base, offset, divisor)


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
