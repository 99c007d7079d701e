"""Which layers of B first give something that A has nowhere: only another matching of one of them can mend that.

A model that really differs is tried with many matchings otherwise, each a pass of the whole model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from suites.port.matching.assign import Matching
from suites.port.matching.layers import Layer
from suites.port.recording import Op, Pass


def departing(seen: Pass, shared: Collection[int], layers: Sequence[Layer]) -> frozenset[str]:
    """The layers whose input A has, whose results it has not, and nothing that depends on these.

    `shared`: the values of B's pass that A has. Where something behind a layer is A's again, the two sides only cut
    their operations differently there.
    """
    found, known = set(), set(shared)
    for layer in layers:
        results = {at for op in meeting(seen.ops, layer) for at in op.outputs}
        known_input = bool(layer.reads) and known.issuperset(layer.reads)
        if known_input and not known & behind(seen, results):
            found.add(layer.path)
    return frozenset(found)


def meeting(ops: Iterable[Op], layer: Layer) -> list[Op]:
    """The operations in which a layer's weights meet what comes to it."""
    names = {weight.name for weight in layer.weights}
    return [op for op in ops if names.intersection(op.weights) and op.values]


def behind(seen: Pass, values: Iterable[int]) -> set[int]:
    """These values and all that depend on them."""
    found = set(values)
    for op in seen.ops:  # in the order in which they ran
        if found.intersection(op.values):
            found.update(op.outputs)
    return found


def may_help(first: Matching, other: Matching, wrong: frozenset[str]) -> bool:
    """Whether another matching gives one of the departing layers other weights; there may be none of those."""
    if not wrong:
        return True
    before = {one.b.name: one for one in first.links}
    return any(one.b.layer in wrong and before.get(one.b.name) != one for one in other.links)
