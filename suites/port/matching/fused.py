"""One kernel that holds several of the other side next to each other: query, key and value, gate and up, heads."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from suites.port.matching.layers import Layer
from suites.port.matching.links import Link
from suites.port.matching.names import likeness

Shapes = tuple[tuple[int, ...], ...]
Choice = tuple[float, int, Layer, tuple[Layer, ...]]  # likeness of names, number, the whole, its parts
MANY = 4  # parts; of more, those with the likest names are taken and not all choices tried


def fuse(a: Sequence[Layer], b: Sequence[Layer]) -> list[Link]:
    """Links of layers that are parts of a layer of the other side; only where the numbers of layers differ so."""
    found = _parts_of(b, a)
    taken_a, taken_b = {one.a.layer for one in found}, {one.b.layer for one in found}
    rest_a = [layer for layer in a if layer.path not in taken_a]
    rest_b = [layer for layer in b if layer.path not in taken_b]
    return found + [one.swapped() for one in _parts_of(rest_a, rest_b)]


def _parts_of(wholes: Sequence[Layer], parts: Sequence[Layer]) -> list[Link]:
    """Links (part, place in a whole)."""
    missing = Counter(layer.shapes for layer in wholes)
    missing.subtract(layer.shapes for layer in parts)
    spare = {shapes: -count for shapes, count in missing.items()}
    choices: list[Choice] = []
    for whole in wholes:
        if missing[whole.shapes] <= 0:
            continue
        for group in _siblings(parts):
            usable = [layer for layer in group if spare.get(layer.shapes, 0) > 0]
            for chosen in _choices(whole, usable):
                names = sum(likeness(part.path, whole.path) for part in chosen) / len(chosen)
                choices.append((names, len(choices), whole, chosen))
    return _best(choices, missing)


def _best(choices: list[Choice], missing: Counter[Shapes]) -> list[Link]:
    """The choices with the likest names that leave no layer in two places."""
    found: list[Link] = []
    taken: set[str] = set()
    for _, _, whole, chosen in sorted(choices, key=lambda choice: (-choice[0], choice[1])):
        paths = {part.path for part in chosen}
        if whole.path in taken or paths & taken or missing[whole.shapes] <= 0:
            continue
        taken |= {whole.path, *paths}
        missing[whole.shapes] -= 1
        found += _linked(whole, chosen)
    return found


def _siblings(layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    """Layers that read the same value, in the order of their use."""
    groups: dict[frozenset[int], list[Layer]] = {}
    for layer in layers:
        groups.setdefault(layer.reads, []).append(layer)
    for reads, group in groups.items():
        if reads and len(group) > 1:
            yield group


def _choices(whole: Layer, parts: Sequence[Layer]) -> Iterator[tuple[Layer, ...]]:
    """The parts that make up a whole."""
    for count in range(2, min(len(parts), MANY) + 1):
        for chosen in itertools.combinations(parts, count):
            if holds(whole, chosen):
                yield chosen
    width = widest(parts[0]) if parts else 0
    count = widest(whole) // width if width else 0
    if MANY < count <= len(parts):
        likest = sorted(parts, key=lambda part: -likeness(part.path, whole.path))[:count]
        chosen = tuple(part for part in parts if part in likest)
        if holds(whole, chosen):
            yield chosen


def holds(whole: Layer, parts: Sequence[Layer]) -> bool:
    """Whether the weights of `parts`, next to each other along the last axis, are those of `whole`."""
    if any(len(part.weights) != len(whole.weights) for part in parts):
        return False
    for weight in whole.weights:
        same = [w for part in parts for w in part.weights if len(w.shape) == len(weight.shape)]
        if len(same) != len(parts) or any(w.shape[:-1] != weight.shape[:-1] for w in same):
            return False
        if sum(w.shape[-1] for w in same) != weight.shape[-1]:
            return False
    return True


def _linked(whole: Layer, parts: Sequence[Layer]) -> list[Link]:
    found = []
    start = 0
    for part in parts:
        stop = start + widest(part)
        for weight in part.weights:
            other = next(w for w in whole.weights if len(w.shape) == len(weight.shape))
            found.append(Link(weight, other, part_b=tuple(range(start, stop))))
        start = stop
    return found


def widest(layer: Layer) -> int:
    return max(layer.weights, key=lambda weight: len(weight.shape)).shape[-1]


def orders(links: Sequence[Link]) -> Iterator[list[Link]]:
    """Other orders in which the parts of fused kernels can lie: whole blocks, or head by head; the same everywhere."""
    inside = [one for one in links if one.part_b is not None]
    swapped = [one for one in links if one.part_a is not None]
    if not inside and not swapped:
        return
    turned = [one.swapped() for one in swapped]
    count = max(len(places) for places in _places([*inside, *turned]).values())
    if count > MANY:
        return
    widths = {one.a.shape[-1] for one in inside} | {one.b.shape[-1] for one in swapped}
    heads = heads_of(math.gcd(*widths))
    for split, order in itertools.product(heads, itertools.permutations(range(count))):
        forward = _rearranged(inside, order, split)
        backward = [one.swapped() for one in _rearranged(turned, order, split)]
        fresh = {(one.a.name, one.b.name): one for one in [*forward, *backward]}
        yield [fresh.get((one.a.name, one.b.name), one) for one in links]


def _places(links: Iterable[Link]) -> dict[str, list[str]]:
    """The layers of A in each layer of B, in their order."""
    found: dict[str, list[str]] = {}
    for one in links:
        paths = found.setdefault(one.b.layer, [])
        if one.a.layer not in paths:
            paths.append(one.a.layer)
    return found


def _rearranged(links: Sequence[Link], order: Sequence[int], split: int) -> list[Link]:
    """`split` 1: whole parts in `order`; n: each of n heads has its parts next to each other."""
    places = _places(links)
    width = {one.a.layer: one.a.shape[-1] for one in links}
    found = []
    for one in links:
        parts = places[one.b.layer]
        turned = [parts[at] for at in order if at < len(parts)]
        before = sum(width[path] for path in turned[: turned.index(one.a.layer)])
        whole = sum(width[path] for path in turned)
        size = width[one.a.layer] // split
        columns: list[int] = []
        for head in range(split):
            start = head * (whole // split) + before // split
            columns += range(start, start + size)
        found.append(replace(one, part_b=tuple(columns)))
    return found


def heads_of(width: int) -> list[int]:
    """In how many heads a width can be cut, one (no heads) first."""
    return [n for n in range(1, width + 1) if width % n == 0 and n <= max(1, math.isqrt(width) * 2)]
