"""One kernel over [x, h] that the other side has as two: cells by hand, ConvLSTM, TensorFlow's cells of 2016."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from suites.port.matching.gates import COUNTS, Gates
from suites.port.matching.layers import Layer
from suites.port.matching.links import Link
from suites.port.recording import Weight


def stacked(a: Sequence[Layer], b: Sequence[Layer]) -> list[Link]:
    """Links of two weights of one side to the upper and the lower rows of one of the other's."""
    ours, theirs = (list(itertools.chain.from_iterable(layer.weights for layer in side)) for side in (a, b))
    found = _in_wholes(ours, theirs)
    return found or [one.swapped() for one in _in_wholes(theirs, ours)]


def _in_wholes(parts: Sequence[Weight], wholes: Sequence[Weight]) -> list[Link]:
    found: list[Link] = []
    left = list(parts)
    for whole in wholes:
        pair = next((pair for pair in itertools.combinations(left, 2) if _make_up(pair, whole)), None)
        if pair is not None:
            left = [weight for weight in left if weight not in pair]
            found += _links(pair, whole)
    return found


def _make_up(pair: Sequence[Weight], whole: Weight) -> bool:
    if len(whole.shape) < 2 or any(len(weight.shape) != len(whole.shape) for weight in pair):
        return False
    rows = sum(weight.shape[-2] for weight in pair)
    rest = {(*weight.shape[:-2], weight.shape[-1]) for weight in (*pair, whole)}
    return rows == whole.shape[-2] and len(rest) == 1


def _links(pair: Sequence[Weight], whole: Weight) -> list[Link]:
    stops = list(itertools.accumulate(weight.shape[-2] for weight in pair))
    starts = [0, *stops[:-1]]
    return [
        Link(weight, whole, rows_b=tuple(range(start, stop)))
        for weight, start, stop in zip(pair, starts, stops, strict=True)
    ]


def gate_orders(links: Sequence[Link]) -> Iterator[tuple[Gates, list[Link]]]:
    """Other orders of the gates in cells whose kernels are stacked, with [x, h] and with [h, x]."""
    cells = [one for one in links if one.rows_a is not None or one.rows_b is not None]
    paths = {one.a.layer for one in cells}
    if not cells:
        return
    for turned in (False, True):
        rows = _turned(links) if turned else list(links)
        for count in COUNTS.values():
            for order in itertools.permutations(range(count)):
                if turned or order != tuple(range(count)):
                    known = "a" if cells[0].a.kind in COUNTS else "b" if cells[0].b.kind in COUNTS else ""
                    gates = Gates((cells[0].a.layer, cells[0].b.layer), _seen(order) if known == "b" else order, known)
                    yield gates, [_reordered(one, order) if one.a.layer in paths else one for one in rows]


def _seen(order: Sequence[int]) -> tuple[int, ...]:
    """The order of A's blocks as B's, where B's own are the ones that a library names."""
    return tuple(order.index(at) for at in range(len(order)))


def _turned(links: Sequence[Link]) -> list[Link]:
    """What is above and what below in each whole, exchanged."""
    found = list(links)
    for first, second in itertools.combinations(range(len(found)), 2):
        one, other = found[first], found[second]
        if one.rows_b and other.rows_b and one.b.name == other.b.name:
            pair = _links((other.a, one.a), one.b)
            found[first], found[second] = pair[1], pair[0]
        elif one.rows_a and other.rows_a and one.a.name == other.a.name:
            pair = [each.swapped() for each in _links((other.b, one.b), one.a)]
            found[first], found[second] = pair[1], pair[0]
    return found


def _reordered(one: Link, order: Sequence[int]) -> Link:
    width = one.a.shape[-1]
    if width % len(order) or one.part_a is not None:
        return one
    size = width // len(order)
    return replace(one, part_a=tuple(gate * size + at for gate in order for at in range(size)))
