"""A region with its numbers as a question to the hypotheses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from suites.port import precision
from suites.port.comparison import Comparison
from suites.port.graph import Region, Slice
from suites.port.healing import Both
from suites.port.hypotheses.question import Entry, Part, Question
from suites.port.layouts import distance, fit
from suites.port.matching.links import FREE, Link
from suites.port.parted import Parted
from suites.port.recording import Call, Pass, Recording
from suites.port.structure import origin


def question(c: Comparison, mode: str, seen: Both, region: Region, parted: Parted) -> Question | None:
    """The region as a question; None where its numbers were not kept."""
    a = part(c.a, seen.a, region.a, region.calls[0], parted.common.of_a, c, "a")
    b = part(c.b, seen.b, region.b, region.calls[1], parted.common.of_b, c, "b")
    if a is None or b is None:
        return None
    single = any(precision.evidence(cut.ops, one) for cut, one in ((region.a, seen.a), (region.b, seen.b)))
    return Question(mode, region.kind, a, b, c.unit, region.layer, single, entering(a, seen.b))


def entering(a: Part, b: Pass) -> float:
    """How far apart what comes in is on both sides: as far as float32 takes it, where an engine computed so before."""
    pairs = [(entry.array, b.values[entry.partner].array) for entry in a.entries if entry.partner is not None]
    apart = [distance(ours, fit(theirs, ours, False)) for ours, theirs in pairs if theirs is not None]
    return max((far for far in apart if far <= precision.STEP), default=0.0)


def part(
    side: Recording, seen: Pass, cut: Slice, call: Call | None,
    partners: Mapping[int, frozenset[int]], c: Comparison, letter: str,
) -> Part | None:  # fmt: skip
    """One side of a region with its numbers."""
    values = {}
    ids = {cut.exit, *cut.entries}
    for op in cut.ops:
        ids.update(op.outputs, op.values)
    if call is not None:  # an engine may hand it on turned, time first
        ids.update(call.inputs)
    for at in ids:
        array = seen.values[at].array
        if array is not None:
            values[at] = array
    if cut.exit not in values:
        return None
    entries = tuple(
        Entry(at, values[at], min(partners.get(at, ()), default=None), origin(seen, at))
        for at in cut.entries
        if at in values
    )
    weights = {}
    for link in c.links:
        own = getattr(link, letter)
        if call is not None and own.name in call.weights and link.a.name in c.a.start:
            weights.update(for_formula(link, c))
    named = {name for op in cut.ops for name in op.weights}
    own_numbers = {name: side.start[name] for name in named if name in side.start}
    return Part(cut.ops, entries, cut.exit, values[cut.exit], values, call, weights, own_numbers)


def for_formula(link: Link, c: Comparison) -> dict[str, np.ndarray]:
    """A weight by the role that a layer's formula knows, with all of its layers and gates in their own order."""
    if link.a.kind in FREE and link.b.kind not in FREE and link.b.name in c.b.start:
        return {link.b.role: c.b.start[link.b.name].astype(np.float64)}
    whole = c.a.start[link.a.name]
    all_of_it = link.layer_a is not None or link.a.shape[-1:] == (len(link.part_a or ()),)
    return {link.a.role: (whole if all_of_it else link.pick_a(whole)).astype(np.float64)}
