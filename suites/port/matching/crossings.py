"""Layers that bear each other's names: what the user's names say, and what gives A's outputs, are two things then."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from suites.port.matching.assign import Matching, fits, within
from suites.port.matching.layers import Layer
from suites.port.matching.links import Link
from suites.port.matching.names import words

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
    return odd if closed else []


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
    by_words = {words(layer.path): layer for layer in layers_b if layer.path in theirs}
    pairs = [(by_path[a], by_words[words(a)]) for a, _ in crossed]
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
