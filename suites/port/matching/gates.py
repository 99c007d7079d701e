"""Gates of a recurrent layer beside weights that are written out by hand: in which order their blocks lie there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from suites.port.matching.links import FREE, Link
from suites.port.recording import Weight

COUNTS = {"lstm": 4, "gru": 3}
BY_HAND = (*FREE, "dense")  # kinds of weights that a cell by hand is made of
LETTERS = {4: "ifco", 3: "zrh"}
CUSTOMARY: dict[int, dict[str, tuple[str, ...]]] = {
    4: {"": ("ifco",), "jax": ("ifco", "icfo"), "tensorflow": ("ifco", "icfo")},
    3: {"": ("zrh", "rzh")},
}
"""By number of gates and backend, how its libraries lay them: Haiku's LSTM, and TensorFlow's of 2016, are icfo."""
# (API, layer) -> the canonical gate (i f c o, z r h) in each block of the library's own order; not where it is that.
NATIVE = {("torch", "gru"): (1, 0, 2)}


@dataclass(frozen=True)
class Gates:
    """In which order one side has the other one's blocks in the weights of a layer, where only that gives A's outputs.

    `known` is the side whose own order a library says, "a" or "b"; "" where both are written by hand.
    """

    layers: tuple[str, str]
    order: tuple[int, ...]
    known: str = ""

    def customary(self, backends: tuple[str, str]) -> bool:
        """Whether each side may have its order from a library of its own backend: no port errs that has it so."""
        letters = LETTERS[len(self.order)]
        table = CUSTOMARY[len(self.order)]
        ours, theirs = (table.get(backend, table[""]) for backend in backends)
        ours = (letters,) if self.known == "a" else ours
        theirs = (letters,) if self.known == "b" else theirs
        return any(self._between(one, other) for one in ours for other in theirs)

    def _between(self, one: str, other: str) -> bool:
        """Whether a side with the blocks `other` has those of a side with the blocks `one` in this order."""
        if self.known == "b":
            one, other = other, one
        return "".join(one[at] for at in self.order) == other

    def words(self) -> tuple[str, str]:
        """What A and B have, in the letters of LSTM and GRU where a library says them."""
        letters = LETTERS[len(self.order)] if self.known else "1234"[: len(self.order)]
        first, second = ", ".join(letters), ", ".join(letters[at] for at in self.order)
        return (second, first) if self.known == "b" else (first, second)


def added_biases(own: Sequence[Weight], others: Sequence[Weight]) -> Iterator[tuple[str, str]]:
    """Pairs of a cell's two biases by hand, of which only the sum counts, where the other side's LSTM has one."""
    for size in {weight.size for weight in others if (weight.kind, weight.role) == ("lstm", "bias")}:
        known = [w for w in others if (w.kind, w.role) == ("lstm", "bias") and w.size == size]
        mine = [w for w in own if w.shape == (size,) and w.kind not in COUNTS and w.trainable]
        if len(mine) == 2 * len(known):
            yield from ((one.name, two.name) for one, two in zip(mine[::2], mine[1::2], strict=True))


def in_native_order(links: Sequence[Link], apis: tuple[str, str]) -> list[Link]:
    """A port by hand takes the blocks as the library has them that it was ported from."""
    found = []
    for link in links:
        known = gated(link)
        api, weight = (apis[0], link.a) if known == "a" else (apis[1], link.b)
        order = NATIVE.get((api, weight.kind)) if known else None
        found.append(link if order is None else ordered(link, known, order))
    return found


def orders_by_hand(links: Sequence[Link]) -> Iterator[tuple[Gates, list[Link]]]:
    """Other orders of the blocks, the same in all layers of a kind."""
    for kind, count in COUNTS.items():
        mine = [link for link in links if kind in (link.a.kind, link.b.kind) and gated(link)]
        for order in itertools.permutations(range(count)) if mine else ():
            gates = Gates((mine[0].a.layer, mine[0].b.layer), order, gated(mine[0]))
            yield gates, [ordered(link, gated(link), order) if link in mine else link for link in links]


def gated(link: Link) -> str:
    """The side, "a" or "b", whose weight has gates that the library knows, and the other one none; "" elsewhere."""
    for known, other, name in ((link.a, link.b, "a"), (link.b, link.a, "b")):
        if known.kind in COUNTS and other.kind in BY_HAND and known.shape[-1] % COUNTS[known.kind] == 0:
            return name
    return ""


def ordered(link: Link, known: str, order: Sequence[int]) -> Link:
    weight = link.a if known == "a" else link.b
    width = weight.shape[-1] // len(order)
    places = tuple(gate * width + at for gate in order for at in range(width))
    return replace(link, part_a=places) if known == "a" else replace(link, part_b=places)
