"""What each side shows of itself, with nothing computed again: rows of a table, factors of each channel, lengths.

Where both sides show the same kind of thing, and not the same one, that is the cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from suites.port.hypotheses.causes import cause, short
from suites.port.hypotheses.distances import rows_in_words
from suites.port.hypotheses.question import Cause, Part, Question

Array = np.ndarray
LOOKUPS = ("embedding", "gather", "take", "slice", "getitem", "dynamic_slice", "identity", "index_select")
MOST_CHANNELS = 16
CLOSE = 1e-6  # of the norm: a fit, not a verdict
SHOWN = 4


class Rows(NamedTuple):
    """Which rows of a table a side takes, (places,) or (examples, places)."""

    table: str
    at: Array

    def words(self) -> str:
        """Of the first example that differs from no other."""
        rows = self.at.reshape(-1, self.at.shape[-1])[0] if self.at.ndim else self.at.reshape(1)
        return "rows " + ", ".join(map(str, rows[:SHOWN])) + (", ..." if len(rows) > SHOWN else "")


def other_rows(question: Question) -> list[Cause]:
    """A table of positions: an offset, or positions that start again."""
    for ours in rows_of(question.a):
        for theirs in rows_of(question.b):
            if ours.at.shape[-1:] != theirs.at.shape[-1:]:
                continue
            a, b = ours.at, theirs.at
            if a.ndim != b.ndim:
                a, b = np.broadcast_arrays(a, b)
            if a.shape != b.shape or np.array_equal(a, b) or not from_one_table(question, ours, theirs):
                continue
            words = [rows_in_words(each, len(question.a.own[ours.table])) for each in (a, b)]
            if all(words) and words[0] != words[1]:
                return [cause("relative_positions", f"relative positions: of the table {ours.table}", *words)]
            shift = np.unique(b - a)
            note = ""
            if len(shift) == 1:
                note = f"B's are {abs(int(shift[0]))} {'later' if shift[0] > 0 else 'earlier'}"
            return [cause("positions", f"positions: of the table {ours.table}", ours.words(), theirs.words(), note)]
    return []


def from_one_table(question: Question, ours: Rows, theirs: Rows) -> bool:
    a, b = question.a.own[ours.table], question.b.own[theirs.table]
    return a.shape == b.shape and np.array_equal(a, b)


def rows_of(part: Part) -> Iterator[Rows]:
    """Every lookup in a table of weights, by the rows that come out."""
    for op in part.ops:
        for name in op.weights:
            table = part.own.get(name)
            if op.name not in LOOKUPS or table is None or table.ndim != 2 or len(table) < 2:
                continue
            for at in op.outputs:
                rows = matched(table, part.values.get(at))
                if rows is not None:
                    yield Rows(name, rows)


def matched(table: Array, taken: Array | None) -> Array | None:
    """The rows of a table (L, D) that (..., D) holds; None where one is not there, or there twice."""
    if taken is None or taken.ndim < 2 or taken.shape[-1] != table.shape[-1] or taken.size > 1_000_000:
        return None
    flat = taken.reshape(-1, table.shape[-1])
    place = np.array([int(np.abs(table - row).sum(1).argmin()) for row in flat])
    if not np.allclose(table[place], flat, rtol=1e-12, atol=0) or len(np.unique(table, axis=0)) < len(table):
        return None
    return place.reshape(taken.shape[:-1])


class Channel(NamedTuple):
    """One channel that comes out: of which one it is made, and how."""

    source: int
    factor: float
    addend: float


def other_affine(question: Question) -> list[Cause]:
    """Both sides scale and shift the channels of one input: an order of colours, a mode of preprocessing."""
    for entry in question.a.entries:
        if not entry.origin.startswith("the input") or entry.array.ndim < 2 or entry.array.dtype.kind not in "fiu":
            continue
        for axis in {entry.array.ndim - 1, 1}:
            ours, theirs = (channels_of(entry.array, axis, part.exit) for part in (question.a, question.b))
            if ours and theirs and ours != theirs:
                return list(told(ours, theirs))
    return []


def channels_of(x: Array, axis: int, y: Array) -> list[Channel]:
    """y's channels as those of x, scaled and shifted; [] where it is not made so."""
    count, y = x.shape[axis], unpadded(y, x)
    if x.size != y.size or count > MOST_CHANNELS or x.size <= 2 * count:
        return []
    sources = np.moveaxis(x, axis, 0).reshape(count, -1).astype(float)
    for other in (y.ndim - 1, 1):
        if y.ndim < 2 or y.shape[other] != count:
            continue
        made = np.moveaxis(y, other, 0).reshape(count, -1).astype(float)
        found = [fitted(sources, row) for row in made]
        if all(each is not None for each in found):
            return [each for each in found if each is not None]
    return []


def unpadded(y: Array, x: Array) -> Array:
    """y (N, ...) without borders of zeros, as far as it is larger than x (N, ...)."""
    if y.ndim != x.ndim or y.size <= x.size:
        return y
    for axis in range(1, y.ndim):
        while y.shape[axis] > max(x.shape[1:]) and not y.take(0, axis).any():
            y = np.delete(y, 0, axis)
        while y.shape[axis] > max(x.shape[1:]) and not y.take(-1, axis).any():
            y = np.delete(y, -1, axis)
    return y


def fitted(sources: Array, row: Array) -> Channel | None:
    """The source, the factor and the addend that give one channel."""
    for at, source in enumerate(sources):
        centred = source - source.mean()
        spread = float(centred @ centred)
        if not spread:
            continue
        factor = float(centred @ row) / spread
        addend = float(row.mean() - factor * source.mean())
        size = float(np.linalg.norm(row)) or 1.0
        if float(np.linalg.norm(row - factor * source - addend)) <= CLOSE * size:
            return Channel(at, rounded(factor), rounded(addend))
    return None


def rounded(value: float) -> float:
    return float(f"{value:.6g}") if abs(value) > 1e-9 else 0.0


def told(ours: list[Channel], theirs: list[Channel]) -> Iterator[Cause]:
    """The order of the channels, then their numbers."""
    orders = [[channel.source for channel in side] for side in (ours, theirs)]
    if orders[0] != orders[1]:
        yield cause("channel_order", "order of the channels", *(in_order(order) for order in orders))
    numbers = [{each.source: each[1:] for each in side} for side in (ours, theirs)]
    if numbers[0] != numbers[1]:
        yield cause(
            "preprocessing", "channels of the input are scaled and shifted", *(formula(s) for s in (ours, theirs))
        )


def in_order(order: list[int]) -> str:
    """RGB and BGR by their names."""
    if order == sorted(order):
        return "as they come (RGB stays RGB)" if len(order) == 3 else "as they come"
    if order == sorted(order, reverse=True):
        return "reversed (RGB becomes BGR)" if len(order) == 3 else "reversed"
    return "in the order " + ", ".join(map(str, order))


def formula(channels: list[Channel]) -> str:
    """`0.0171 x - 2.12` for each channel, once where all are alike."""
    found = dict.fromkeys(line(each) for each in channels)
    return "; ".join(list(found)[:SHOWN])


def line(channel: Channel) -> str:
    start = "x" if channel.factor == 1 else f"{short(channel.factor)} x"
    if not channel.addend:
        return start
    return f"{start} {'+' if channel.addend > 0 else '-'} {short(abs(channel.addend))}"


def stopped(question: Question) -> list[Cause]:
    """A recurrent layer that stops at the padding of each example, and one that runs on."""
    for sequence in question.b.values.values():
        ends = steps_taken(sequence, question.a.exit)
        if ends is None or (ends == ends[0]).all():  # one step of all examples: no mask, but a step that is taken
            continue
        lengths = ", ".join(str(end + 1) for end in ends[:SHOWN]) + (", ..." if len(ends) > SHOWN else "")
        a = f"stops at the padding (lengths {lengths})"
        return [cause("masking", "masking of the sequence", a, "runs over all steps, padding included")]
    return []


def steps_taken(sequence: Array, last: Array) -> Array | None:
    """For each example the step of (N, T, D) at which (N, D) stands; None where one is nowhere."""
    if sequence.ndim != 3 or last.ndim != 2 or sequence.shape[::2] != last.shape or sequence.dtype.kind != "f":
        return None
    apart = np.abs(sequence - last[:, None]).max(-1)
    ends = np.asarray(apart.argmin(1))
    near = apart.min(1) <= 1e-10 * max(float(np.abs(last).max()), 1e-30)
    return ends if near.all() else None
