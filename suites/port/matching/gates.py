"""Gates of a recurrent layer beside weights that are written out by hand: in which order their blocks lie there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from suites.port.matching.links import FREE, Link

COUNTS = {"lstm": 4, "gru": 3}
# (API, layer) -> the canonical gate (i f c o, z r h) in each block of the library's own order; not where it is that.
NATIVE = {("torch", "gru"): (1, 0, 2)}


def in_native_order(links: Sequence[Link], apis: tuple[str, str]) -> list[Link]:
    """A port by hand takes the blocks as the library has them that it was ported from."""
    found = []
    for link in links:
        known = gated(link)
        api, weight = (apis[0], link.a) if known == "a" else (apis[1], link.b)
        order = NATIVE.get((api, weight.kind)) if known else None
        found.append(link if order is None else ordered(link, known, order))
    return found


def orders_by_hand(links: Sequence[Link]) -> Iterator[list[Link]]:
    """Other orders of the blocks, the same in all layers of a kind."""
    kinds = [kind for kind in COUNTS if any(kind in (link.a.kind, link.b.kind) and gated(link) for link in links)]
    for kind in kinds:
        for order in itertools.permutations(range(COUNTS[kind])):
            yield [
                ordered(link, gated(link), order) if gated(link) and kind in (link.a.kind, link.b.kind) else link
                for link in links
            ]


def gated(link: Link) -> str:
    """The side, "a" or "b", whose weight has gates that the library knows, and the other one none; "" elsewhere."""
    for known, other, name in ((link.a, link.b, "a"), (link.b, link.a, "b")):
        if known.kind in COUNTS and other.kind in FREE and known.shape[-1] % COUNTS[known.kind] == 0:
            return name
    return ""


def ordered(link: Link, known: str, order: Sequence[int]) -> Link:
    weight = link.a if known == "a" else link.b
    width = weight.shape[-1] // len(order)
    places = tuple(gate * width + at for gate in order for at in range(width))
    return replace(link, part_a=places) if known == "a" else replace(link, part_b=places)
