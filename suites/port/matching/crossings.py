"""Layers that bear each other's names: what the user's names say, and what gives A's outputs, are two things then."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from suites.port.matching.assign import Matching, fits, within
from suites.port.matching.layers import Layer
from suites.port.matching.links import Link
from suites.port.matching.names import likeness, words

Pair = tuple[str, str]  # a layer of A, a layer of B
AUTOMATIC = {
    "keras": re.compile(r"[a-z]+[a-z0-9]*(_[a-z]+[a-z0-9]*)*(_\d+)?"),  # dense_1, multi_head_attention
    "flax": re.compile(r"[A-Z]\w*_\d+"),  # Dense_0
    "haiku": re.compile(r"[a-z]+[a-z0-9]*(_[a-z]+[a-z0-9]*)*(_\d+)?"),
}
NUMBER = re.compile(r"\[?\d+\]?")


def crossings(links: Iterable[Link], a: Sequence[Layer], b: Sequence[Layer], apis: tuple[str, str]) -> list[Pair]:
    """Pairs of layers that contradict names which both sides have once: each of a circle bears another one's name."""
    ours, theirs = written(a, apis[0]), written(b, apis[1])
    shared = set(ours) & set(theirs)
    pairs = dict.fromkeys((link.a.layer, link.b.layer) for link in links)
    odd = [(one, other) for one, other in pairs if words(one) != words(other)]
    odd = [(one, other) for one, other in odd if words(one) in shared and words(other) in shared]
    odd = [(one, other) for one, other in odd if ours[words(one)] == one and theirs[words(other)] == other]
    closed = Counter(words(one) for one, _ in odd) == Counter(words(other) for _, other in odd)
    return odd if closed and odd else contradicting(list(pairs), (a, b), apis)


def contradicting(
    pairs: Sequence[Pair], sides: tuple[Sequence[Layer], Sequence[Layer]], apis: tuple[str, str]
) -> list[Pair]:
    """Pairs whose names differ in one word on each side, the same two words, and are paired the other way round.

    `filter_0` with `gate_convs.0`, and `gate_0` with `filter_convs.0`.
    """
    found: dict[Pair, None] = {}
    ours, theirs = named_by_users(sides[0], apis[0]), named_by_users(sides[1], apis[1])
    named = [(one, other) for one, other in pairs if one in ours and other in theirs]
    for (a1, b1), (a2, b2) in itertools.combinations(named, 2):
        apart = told_apart(a1, a2)
        if apart is not None and apart == told_apart(b2, b1):
            found.update({(a1, b1): None, (a2, b2): None})
    return list(found)


def without_places(path: str) -> str:
    """`filter_convs.0` as its list is called."""
    return re.sub(r"([./]\[?\d+\]?)+$", "", path)


def named_by_users(layers: Sequence[Layer], api: str) -> set[str]:
    return {layer.path for layer in layers if by_user(without_places(layer.path), api, layer.class_name)}


def told_apart(one: str, other: str) -> Pair | None:
    """The two words, no numbers, by which alone two names differ; None where they differ in more or in none."""
    first, second = words(one), words(other)
    if len(first) != len(second):
        return None
    apart = [(a, b) for a, b in zip(first, second, strict=True) if a != b]
    if len(apart) != 1 or any(word.isdigit() for word in apart[0]):
        return None
    return apart[0]


def written(layers: Sequence[Layer], api: str) -> dict[tuple[str, ...], str]:
    """The layers whose names no other one has, of those that the user named; by the words of the name."""
    count = Counter(words(layer.path) for layer in layers)
    own = [layer.path for layer in layers if by_user(layer.path, api, layer.class_name)]
    return {words(path): path for path in own if words(path) and count[words(path)] == 1}


def by_user(path: str, api: str, class_name: str) -> bool:
    """Not a place in a list, and not what a library calls a layer that nobody named."""
    last = re.split(r"[./]", path)[-1]
    if NUMBER.fullmatch(last):
        return False
    pattern = AUTOMATIC.get(api)
    if pattern is None or not pattern.fullmatch(last):
        return True
    plain = re.sub(r"_\d+$", "", last).replace("_", "").lower()
    return bool(class_name) and plain != class_name.lower()


def uncrossed(
    matching: Matching, crossed: Sequence[Pair], layers_a: Sequence[Layer], layers_b: Sequence[Layer]
) -> Matching | None:
    """The matching that names say; None where shapes forbid it."""
    by_path = {layer.path: layer for layer in layers_a}
    theirs = {b for _, b in crossed}
    known = {layer.path: layer for layer in layers_b if layer.path in theirs}
    named = {a: max(known, key=lambda b, a=a: likeness(a, b)) for a, _ in crossed}  # type: ignore[misc]
    if len(set(named.values())) != len(named):
        return None
    pairs = [(by_path[a], known[b]) for a, b in named.items()]
    if not all(fits(a, b) for a, b in pairs):
        return None
    ours = {a for a, _ in crossed}
    links = [one for one in matching.links if one.a.layer not in ours]
    for a, b in pairs:
        links += within(a, b)
    place = {one.a.name: at for at, one in enumerate(matching.links)}
    links.sort(key=lambda one: place.get(one.a.name, 0))
    other = {a.path: b.path for a, b in pairs}
    return replace(matching, links=links, pairs=[(a, other.get(a, b)) for a, b in matching.pairs])
