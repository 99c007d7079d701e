"""Rotary positions (Su et al., 2021), measured: which numbers are a pair, how many, by which angles.

A rotation is found by what goes in and what comes out, whatever the operations: the ratio of two complex numbers whose
parts are a pair. So another base, another scale of the positions, ids that were handed in and a share of the features
are all seen, also those that nobody has thought of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from suites.port.hypotheses.causes import nice, short

Array = np.ndarray
BASES = (10_000.0, 500_000.0, 1_000_000.0, 100_000.0, 1_000.0)
CLOSE = 1e-9
CLOSE_SINGLE = 1e-6  # of angles that an engine computes in float32
MOST_PLACES = 4096  # ids of positions that are told from an angle
SHOWN = 4
ALIKE = 2  # heads or examples that are turned alike
ROTARY = "rotary positions"


@dataclass(frozen=True)
class Rotary:
    """Su et al. (2021), equation 34: which numbers are a pair, the base, and the position of the first place.

    `features` is how many of a head are turned, 0: all; positions are divided by `divisor`. `turns` (N, T, pairs) are
    the complex factors of a rotation that was measured, `ids` the positions where they are no sequence.
    """

    pairs: str = "halves"
    base: float = 10_000.0
    offset: float = 0
    sign: int = 1
    divisor: float = 1.0
    features: str = ""
    ids: str = ""
    turns: Array | None = field(default=None, compare=False, repr=False)

    @property
    def count(self) -> int:
        """How many features were measured to be rotated; 0 where none was measured."""
        return 2 * self.turns.shape[-1] if self.turns is not None else 0

    def words(self) -> str:
        """For a person."""
        turned = "" if self.sign == 1 else ", turned the other way"
        first = f", positions from {short(self.offset)}" if self.offset else ""
        divided = f", positions {_scaled(self.divisor)}" if self.divisor != 1 else ""
        base = f", base {short(self.base)}" if self.base else ""
        return f"pairs of {self.pairs}{self.features}{base}{first}{divided}{self.ids}{turned}"


def _scaled(divisor: float) -> str:
    return f"divided by {short(divisor)}" if divisor > 1 else f"multiplied by {short(1 / divisor)}"


def turns_of(rotary: Rotary, places: int, half: int) -> Array:
    """The complex factors (1, T, pairs) of a rotation by its numbers, or those that were measured."""
    if rotary.turns is not None:
        return rotary.turns
    ids = (np.arange(places) + rotary.offset) * rotary.sign / rotary.divisor
    return np.asarray(np.exp(1j * ids[:, None] * rotary.base ** (-np.arange(half) / half)))[None]


def rotated(rotary: Rotary, x: Array, axis: int, features: int = 0) -> Array:
    """x (..., d) rotated by its place along `axis`: the first `features` (0: all), or as many as were measured."""
    count = rotary.count or features or x.shape[-1]
    turns = turns_of(rotary, x.shape[axis], count // 2)
    shape = [1] * x.ndim
    shape[0], shape[axis], shape[-1] = len(turns), x.shape[axis], count // 2
    return joined(paired(x[..., :count], rotary.pairs) * turns.reshape(shape), rotary.pairs, x[..., count:])


def paired(x: Array, pairs: str) -> Array:
    """Each pair of numbers as one complex number."""
    half = x.shape[-1] // 2
    one, two = (x[..., :half], x[..., half:]) if pairs == "halves" else (x[..., ::2], x[..., 1::2])
    return np.asarray(one + 1j * two)


def joined(z: Array, pairs: str, rest: Array) -> Array:
    """Complex numbers as pairs again, with what is not turned behind them."""
    parts = [z.real, z.imag]
    whole = np.concatenate(parts, -1) if pairs == "halves" else np.stack(parts, -1).reshape(*z.shape[:-1], -1)
    return np.concatenate([whole, rest], -1)


def rotaries() -> Iterator[Rotary]:
    """What people write otherwise, where the other side's own rotation is not seen."""
    for pairs in ("halves", "neighbours"):
        for base in BASES:
            for offset in (0, 1, -1, 2):
                for sign in (1, -1):
                    yield Rotary(pairs, base, offset, sign)


def measure(x: Array, y: Array, axis: int) -> Rotary | None:
    """Of which rotation along an axis y (N, ..., d) comes of x; None where of none."""
    width = x.shape[-1]
    for count in dict.fromkeys((width, width // 2, width // 4, width - width // 4)):
        if count < 2 or count % 2 or not np.array_equal(x[..., count:], y[..., count:]):
            continue
        for pairs in ("halves", "neighbours"):
            turns = _turns(paired(x[..., :count], pairs), paired(y[..., :count], pairs), axis)
            if turns is not None:
                features = "" if count == width else f" of the first {count} of {width} features"
                return _as_written(turns, pairs, features)
    return None


def _turns(ours: Array, theirs: Array, axis: int) -> Array | None:
    """The factors (N, T, pairs) of size 1 that turn one into the other for every head; None where there are none."""
    if not np.allclose(np.abs(ours), np.abs(theirs), rtol=CLOSE_SINGLE, atol=0):
        return None
    others = tuple(at for at in range(1, ours.ndim - 1) if at != axis)
    size = (np.abs(ours) ** 2).sum(others, keepdims=True)
    if not size.all():
        return None
    turns = (theirs * ours.conj()).sum(others, keepdims=True) / size
    far = float(np.linalg.norm(theirs - turns * ours))
    everywhere = np.allclose(turns, np.take(turns, [0], axis), rtol=0, atol=CLOSE_SINGLE)  # no matter of the place
    if far > CLOSE_SINGLE * float(np.linalg.norm(theirs)) or everywhere:
        return None
    found: Array = np.moveaxis(turns, axis, 1).reshape(len(turns), ours.shape[axis], ours.shape[-1])
    alike = np.allclose(found, found[:1], rtol=0, atol=CLOSE_SINGLE)
    seen = math.prod(ours.shape[at] for at in others) * (len(found) if alike else 1)
    if seen < ALIKE:  # of one pair of numbers each is some turn of the other, if they are as long
        return None
    return found[:1] if alike else found


def _as_written(turns: Array, pairs: str, features: str) -> Rotary | None:
    """The base, the first position and the scale where the places are a sequence; else the ids of the positions."""
    steps = np.angle(turns[0, 1:] * turns[0, :-1].conj())  # (T - 1, pairs)
    regular = (
        len(turns) == 1 and len(steps) > 1 and bool(np.allclose(steps, steps[:1], atol=CLOSE_SINGLE)) and steps[0, 0]
    )
    if not regular:
        return _by_ids(turns, pairs, features)
    step = float(steps[0, 0])
    half = turns.shape[-1]
    base = nice(float((steps[0, 1] / step) ** -half), 5) if half > 1 and steps[0, 1] / step > 0 else 0.0
    sign = 1 if step > 0 else -1
    return Rotary(pairs, base, _first_place(turns[0, 0], steps[0]), sign, nice(1 / abs(step), 6), features, "", turns)


def _first_place(turns: Array, steps: Array) -> float:
    """The position of the first place, the smallest whole number that all of its angles (pairs,) allow."""
    ids = np.array(sorted(range(1 - MOST_PLACES, MOST_PLACES), key=abs))
    apart = np.abs(np.exp(1j * ids[:, None] * steps) - turns).max(-1)
    fitting = ids[apart <= CLOSE_SINGLE]
    return float(fitting[0]) if len(fitting) else nice(float(np.angle(turns[0]) / steps[0]), 4)


def _by_ids(turns: Array, pairs: str, features: str) -> Rotary | None:
    """Positions that are handed in, told from the angles of one of the usual bases."""
    half = turns.shape[-1]
    for base in BASES:
        table = np.exp(1j * np.arange(MOST_PLACES)[:, None] * base ** (-np.arange(half) / half))
        for sign in (1, -1):
            apart = np.abs(turns[0][:, None] - (table if sign == 1 else table.conj())).max(-1)
            if (apart.min(1) <= CLOSE_SINGLE).all():
                ids = ", ".join(str(at) for at in apart.argmin(1)[:SHOWN])
                return Rotary(pairs, base, 0, sign, 1.0, features, f", positions {ids}, ...", turns)
    return None
