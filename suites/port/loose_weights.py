"""Weights that lie loose in a module of the user's, each a layer of its own where the other side has layers for them.

A root module, Haiku's `~`, a block with parameters beside its layers: as one layer such a module would be used all over
the model, and what goes into it, or comes out, would be that of no layer of the other side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from suites.port.matching.links import FREE, Link
from suites.port.recording import Weight

Owners = tuple[dict[str, str], dict[str, str]]
Pairs = list[tuple[str, str]]


def apart(
    weights: tuple[Sequence[Weight], Sequence[Weight]], links: Sequence[Link], pairs: Pairs
) -> tuple[Owners, Pairs]:
    """The layer of each weight on both sides, and the pairs of layers."""
    uneven = of_several(pairs)
    owners: Owners = owners_of(weights[0], uneven[0]), owners_of(weights[1], uneven[1])
    kept = [pair for pair in pairs if pair[0] not in uneven[0] and pair[1] not in uneven[1]]
    linked = [(owners[0].get(link.a.name, link.a.layer), owners[1].get(link.b.name, link.b.layer)) for link in links]
    fresh = [
        pair for link, pair in zip(links, linked, strict=True) if link.a.layer in uneven[0] or link.b.layer in uneven[1]
    ]
    return owners, list(dict.fromkeys([*kept, *fresh]))


def owners_of(weights: Sequence[Weight], uneven: set[str]) -> dict[str, str]:
    """The layer of each weight by its name; a free weight of an uneven layer stands for itself."""
    found = {}
    for weight in weights:
        alone = weight.kind in FREE and weight.layer in uneven
        found[weight.name] = weight.name if alone else weight.layer
    return found


def of_several(pairs: Pairs) -> tuple[set[str], set[str]]:
    """The layers of both sides that are not one to one, and those that are bound to such a layer."""
    partners: tuple[dict[str, set[str]], dict[str, set[str]]] = defaultdict(set), defaultdict(set)
    for a, b in pairs:
        partners[0][a].add(b)
        partners[1][b].add(a)
    ours = {a for a, others in partners[0].items() if len(others) > 1}
    theirs = {b for b, others in partners[1].items() if len(others) > 1}
    bound_a = set().union(*[partners[1][b] for b in theirs])
    bound_b = set().union(*[partners[0][a] for a in ours])
    return ours | bound_a, theirs | bound_b
