"""Pairs whole layers of A and B by shapes, surroundings, names and order together, and tells what stays ambiguous."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from suites.port.bounds import Difference
from suites.port.files import PortError
from suites.port.matching.fused import fuse, orders
from suites.port.matching.gates import Gates, gated, orders_by_hand
from suites.port.matching.layered import layered
from suites.port.matching.layers import Layer, agreement, extents, label, weights_of
from suites.port.matching.links import Link, link
from suites.port.matching.names import likeness, words
from suites.port.matching.stacked import gate_orders, stacked
from suites.port.matching.table import Table
from suites.port.recording import Weight

STRUCTURE, NAME, ORDER, KIND = 4.0, 3.0, 1.0, 1.0  # what counts how much, where shapes fit
ROLES = {"weight": "kernel", "w": "kernel", "scale": "gamma", "g": "gamma", "b": "bias"}
ROLES.update(offset="bias", beta="bias")  # a norm's and a product's are the same thing to whoever adds them
VECTORS = ("gamma", "bias", "moving_mean", "moving_variance")
STATISTICS = ("moving_mean", "moving_variance")


@dataclass
class Matching:
    """The links of two sides, and what a reader has to know of them."""

    links: list[Link]
    pairs: list[tuple[str, str]] = field(default_factory=list)  # layers
    own_a: list[Weight] = field(default_factory=list)  # buffers that have no counterpart and keep their own numbers
    own_b: list[Weight] = field(default_factory=list)
    lone_a: list[Weight] = field(default_factory=list)  # weights that the other side lacks
    lone_b: list[Weight] = field(default_factory=list)
    fixed: frozenset[str] = frozenset()  # A's layers whose links a mapping file gives
    copies: dict[str, list[str]] = field(default_factory=dict)  # a layer that A uses again and again: B's further ones
    copied: list[Link] = field(default_factory=list)  # the weights of those, which get A's numbers as well
    crossed: list[tuple[str, str]] = field(default_factory=list)  # pairs of layers that bear each other's names
    gates: Gates | None = None  # another order of gates, where only that gives A's outputs
    without: Difference | None = None  # what differs if they are carried over as they lie

    def names(self) -> dict[str, str]:
        """B's layer of each of A's."""
        return dict(self.pairs)


def match(a: Sequence[Layer], b: Sequence[Layer], table: Table) -> Matching:
    """Links for every weight. Raises PortError for what is left over, with both lists."""
    label((a, b))
    links = table.links(weights_of(a), weights_of(b))
    links += fuse(without(a, links, "a"), without(b, links, "b"))
    links += layered(without(a, links, "a"), without(b, links, "b"))
    for mixed in (False, True):  # a constant is a weight of the other side only where none of either is left for it
        for some in (read, list[Layer]):  # what nothing reads only where something is left over for it
            for ours, theirs in assign(some(without(a, links, "a")), some(without(b, links, "b")), mixed):
                links += within(ours, theirs)
            links += single(some(without(a, links, "a")), some(without(b, links, "b")))
    links += stacked(without(a, links, "a"), without(b, links, "b"))
    found = Matching(links, list(dict.fromkeys((one.a.layer, one.b.layer) for one in links)))
    found.fixed = frozenset(weight.layer for layer in a for weight in layer.weights if weight.name in table.names)
    found.own_a = leftover(without(a, links, "a"))
    found.own_b = leftover(without(b, links, "b"))
    found.copies, found.copied = copies(a, without(b, links, "b"), found.names())
    done = [*links, *found.copied]
    found.lone_a, found.lone_b = alone(without(a, links, "a"), without(b, done, "b"), links)
    found.links = table.with_rows(ordered(links, a))
    return found


def ordered(links: list[Link], layers: Sequence[Layer]) -> list[Link]:
    order = {weight.name: at for at, weight in enumerate(weights_of(layers))}
    return sorted(links, key=lambda one: order[one.a.name])


def without(layers: Sequence[Layer], links: Sequence[Link], side: str) -> list[Layer]:
    """The layers with those weights that are not linked yet."""
    taken = {getattr(one, side).name for one in links}
    found = []
    for layer in layers:
        weights = [weight for weight in layer.weights if weight.name not in taken]
        if weights:
            found.append(replace(layer, weights=weights))
    return found


def read(layers: Sequence[Layer]) -> list[Layer]:
    """The layers without those weights that no operation reads."""
    kept = [replace(layer, weights=[w for w in layer.weights if w.name not in layer.unread]) for layer in layers]
    return [layer for layer in kept if layer.weights]


def assign(a: Sequence[Layer], b: Sequence[Layer], mixed: bool = True) -> list[tuple[Layer, Layer]]:
    """The pairs with the largest sum of likenesses (Kuhn 1955); layers whose weights can't be the same are no pair.

    `mixed`: also a buffer of one side and a parameter of the other.
    """
    if not a or not b:
        return []
    scores = np.full((len(a), len(b)), -1e6)
    for i, ours in enumerate(a):
        for j, theirs in enumerate(b):
            if fits(ours, theirs) and (mixed or constants(ours) == constants(theirs)):
                order = abs(i / len(a) - j / len(b))
                scores[i, j] = score(ours, theirs) + ORDER * (1 - order)
    rows, columns = linear_sum_assignment(scores, maximize=True)
    return [(a[i], b[j]) for i, j in zip(rows, columns, strict=True) if scores[i, j] > -1e5]


def score(a: Layer, b: Layer) -> float:
    kind = KIND if a.kind == b.kind else 0.0
    return STRUCTURE * agreement(a, b) + NAME * likeness(a.path, b.path) + kind


def constants(layer: Layer) -> int:
    """How many of a layer's weights are buffers, running statistics aside."""
    return sum(weight.kind == "buffer" and role(weight) not in STATISTICS for weight in layer.weights)


def fits(a: Layer, b: Layer) -> bool:
    """Whether each weight of one can be one of the other's."""
    return a.shapes == b.shapes and len(within(a, b)) == len(a.weights)


def role(weight: Weight) -> str:
    return ROLES.get(weight.role, weight.role)


def within(a: Layer, b: Layer) -> list[Link]:
    """The weights of a pair of layers: by role, then by shape in their order."""
    found: list[Link] = []
    free = list(b.weights)
    for same_role in (True, False):
        for ours in a.weights:
            if any(one.a is ours for one in found):
                continue
            for theirs in free:
                if same_role and role(ours) != role(theirs):
                    continue
                if not same_role and not loose(ours, theirs):
                    continue
                made = link(ours, theirs)
                if made is not None:
                    found.append(made)
                    free.remove(theirs)
                    break
    return found


def loose(a: Weight, b: Weight) -> bool:
    """Whether two weights of different roles may be meant as one: not where both roles are known to differ."""
    known = role(a) in VECTORS and role(b) in VECTORS
    statistics = (role(a) in STATISTICS) != (role(b) in STATISTICS)
    return not known and not statistics


def single(a: Sequence[Layer], b: Sequence[Layer]) -> list[Link]:
    """Single weights of layers that are cut differently on the two sides: of one shape and number, as they are used."""
    ours, theirs = by_use(a), by_use(b)
    found: list[Link] = []
    for key in dict.fromkeys(group(weight) for _, weight in ours):
        mine = [pair for pair in ours if group(pair[1]) == key]
        others = [pair for pair in theirs if group(pair[1]) == key]
        if len(mine) != len(others):
            mine, others = of_one_name(mine, others)
        scores = np.zeros((len(mine), len(others)))
        for i, (layer_a, one) in enumerate(mine):
            for j, (layer_b, other) in enumerate(others):
                closeness = 1 - abs(i - j) / len(mine)
                scores[i, j] = STRUCTURE * closeness + NAME * likeness(one.name, other.name)
                scores[i, j] += agreement(layer_a, layer_b) + (role(one) == role(other))
        rows, columns = linear_sum_assignment(scores, maximize=True)
        made = [link(mine[i][1], others[j][1]) for i, j in zip(rows, columns, strict=True)]
        found += [one for one in made if one is not None]
    return found


def of_one_name(
    a: Sequence[tuple[Layer, Weight]], b: Sequence[tuple[Layer, Weight]]
) -> tuple[list[tuple[Layer, Weight]], list[tuple[Layer, Weight]]]:
    """Those that have one name on both sides, in one order; of the others it is not known which ones are lacking."""
    ours, theirs = ({words(weight.name): (layer, weight) for layer, weight in side} for side in (a, b))
    shared = [name for name in ours if name in theirs]
    return [ours[name] for name in shared], [theirs[name] for name in shared]


def by_use(layers: Sequence[Layer]) -> list[tuple[Layer, Weight]]:
    """Weights with their layers in the order in which operations first read them, what nothing reads behind."""
    pairs = [(layer, weight) for layer in layers for weight in layer.weights]
    return sorted(pairs, key=lambda pair: pair[0].first.get(pair[1].name, math.inf))


def group(weight: Weight) -> object:
    return weight.kind == "buffer", role(weight) in STATISTICS, extents(weight)


def leftover(layers: Sequence[Layer]) -> list[Weight]:
    """Buffers that the other side may have as a constant, and weights that nothing reads, of an unused head."""
    return [weight for layer in layers for weight in layer.weights if stays(layer, weight)]


def stays(layer: Layer, weight: Weight) -> bool:
    return weight.kind == "buffer" or weight.name in layer.unread


def copies(
    a: Sequence[Layer], left: Sequence[Layer], known: Mapping[str, str]
) -> tuple[dict[str, list[str]], list[Link]]:
    """Layers of B that are left over where A uses one of its layers several times: B's own for each further use."""
    found: dict[str, list[str]] = {}
    links: list[Link] = []
    shared = [layer for layer in a if layer.uses > 1 and layer.path in known]
    for other in left:
        fitting = [layer for layer in shared if fits(layer, other) and layer.kind == other.kind]
        if not fitting:
            return {}, []
        chosen = max(fitting, key=lambda layer: likeness(layer.path, other.path))
        found.setdefault(chosen.path, []).append(other.path)
        links += within(chosen, other)
    uses = {layer.path: layer.uses for layer in shared}
    return (found, links) if all(len(more) + 1 == uses[path] for path, more in found.items()) else ({}, [])


def alone(a: Sequence[Layer], b: Sequence[Layer], links: Sequence[Link]) -> tuple[list[Weight], list[Weight]]:
    """Weights that one side lacks: a bias, a norm. Raises PortError where both sides have some, or many are left."""
    left_a = [weight for layer in a for weight in layer.weights if not stays(layer, weight)]
    left_b = [weight for layer in b for weight in layer.weights if not stays(layer, weight)]
    if (left_a and left_b) or len(left_a) + len(left_b) > len(links):
        count = f"{len(left_a)} of A and {len(left_b)} of B"
        raise PortError(
            f"parameters without a counterpart: {count}; give the pairs in a mapping file (--map)"
            + both(left_a, left_b)
        )
    return left_a, left_b


def both(a: Sequence[Weight], b: Sequence[Weight]) -> str:
    lines = ["", "  A:", *map(line, a), "  B:", *map(line, b)]
    pair = proposal(a, b)
    if pair is not None:
        lines += ["  a line of the mapping file (TOML):", f'    "{pair[0].name}" = "{pair[1].name}"']
    return "\n".join(lines)


def proposal(a: Sequence[Weight], b: Sequence[Weight]) -> tuple[Weight, Weight] | None:
    """A pair that a mapping file would take."""
    pairs = [(one, other) for one, other in itertools.product(a, b) if link(one, other) is not None]
    return max(pairs, key=lambda pair: likeness(pair[0].name, pair[1].name), default=None)


def line(weight: Weight) -> str:
    return f"    {weight.name:<32} {weight.kind} {weight.role}, {weight.shape}"


def alternatives(matching: Matching, layers_a: Sequence[Layer], layers_b: Sequence[Layer]) -> Iterator[Matching]:
    """Other matchings that shapes allow: two layers of one kind exchanged, parts of a fused kernel in another order."""
    by_hand = any(map(gated, matching.links))
    fused = () if by_hand else orders(matching.links)  # a weight in another order of gates is no fused one
    for gates, links in orders_by_hand(matching.links):
        yield replace(matching, links=links, gates=gates)
    for links in fused:
        yield replace(matching, links=links)
    for gates, links in gate_orders(matching.links):
        yield replace(matching, links=links, gates=gates)
    yield from exchanges(matching, layers_a, layers_b)
    yield from exchanged_weights(matching, layers_a, layers_b)


def exchanges(matching: Matching, layers_a: Sequence[Layer], layers_b: Sequence[Layer]) -> Iterator[Matching]:
    """Two layers of one kind exchanged."""
    by_path_b = {layer.path: layer for layer in layers_b}
    whole = [(a, by_path_b.get(name)) for a in layers_a for name in [matching.names().get(a.path, "")]]
    pairs = [(a, b) for a, b in whole if b is not None and a.path not in matching.fixed and fits(a, b)]
    for (a1, b1), (a2, b2) in itertools.combinations(pairs, 2):
        if fits(a1, b2) and fits(a2, b1):
            yield exchanged(matching, (a1, b2), (a2, b1))


def exchanged_weights(matching: Matching, layers_a: Sequence[Layer], layers_b: Sequence[Layer]) -> Iterator[Matching]:
    """Two single weights exchanged, of layers that are cut differently on the two sides."""
    by_path = {layer.path: layer for layer in layers_b}
    names = matching.names()
    whole = {a.path for a in layers_a if a.path in names and fits(a, by_path[names[a.path]])}
    loose = [one for one in matching.links if one.a.layer not in whole | matching.fixed and one.part_b is None]
    for one, other in itertools.combinations([one for one in loose if one.part_a is None], 2):
        made = link(one.a, other.b), link(other.a, one.b)
        if group(one.a) == group(other.a) and role(one.a) == role(other.a) and all(made):
            others = {one.a.name: made[0], other.a.name: made[1]}
            yield replace(matching, links=[others.get(each.a.name) or each for each in matching.links])


def exchanged(matching: Matching, *pairs: tuple[Layer, Layer]) -> Matching:
    paths = {a.path: b.path for a, b in pairs}
    links = [one for one in matching.links if one.a.layer not in paths]
    for a, b in pairs:
        links += within(a, b)
    order = {one.a.name: at for at, one in enumerate(matching.links)}
    links.sort(key=lambda one: order.get(one.a.name, 0))
    return replace(matching, links=links, pairs=[(a, paths.get(a, b)) for a, b in matching.pairs])
