"""A region that no hypothesis names, made smaller: the first value that differs and that the rest follows from.

Which value that is, is tried: A's numbers are put in for B's there, B runs on, and what the region gives has to agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from suites.port.graph import Region, Slice, back
from suites.port.parted import Parted
from suites.port.recording import Pass

CUTS = ("slice", "squeeze", "gather", "take", "getitem", "dynamic_slice")
REDUCING = ("sum", "mean", "max", "min")
MOST = 10  # places that are tried


def levelled(region: Region, a: Pass, b: Pass) -> Region:
    """The region up to values of one size, where one side takes a part, or adds places up, before it ends."""
    sizes = a.values[region.a.exit].size, b.values[region.b.exit].size
    if sizes[0] < sizes[1]:
        return replace(region, a=uncut(region.a, a, sizes[1]), b=reduced(region.b, b, region.a, a))
    if sizes[1] < sizes[0]:
        return replace(region, b=uncut(region.b, b, sizes[0]), a=reduced(region.a, a, region.b, b))
    return region


def uncut(cut: Slice, seen: Pass, size: int) -> Slice:
    """Without the slices at its end, where it has as many numbers as the other side before them."""
    at = cut.exit
    while at not in cut.entries and seen.values[at].size != size:
        op = seen.producers.get(at)
        if op is None or op.name not in CUTS or not op.values:
            return cut
        at = op.values[0]
    return cut if at in cut.entries else _until(seen, cut, at)


def reduced(large: Slice, seen: Pass, small: Slice, seen_small: Pass) -> Slice:
    """With the sum or the mean behind it that leaves as many numbers as the other side has."""
    if uncut(small, seen_small, seen.values[large.exit].size) is not small:
        return large
    readers = [op for op in seen.readers.get(large.exit, ()) if op.outputs]
    if len(readers) != 1 or readers[0].name not in REDUCING:
        return large
    op = readers[0]
    if seen.values[op.outputs[0]].size != seen_small.values[small.exit].size:
        return large
    return Slice((*large.ops, op), large.entries, op.outputs[0])


def _until(seen: Pass, cut: Slice, at: int) -> Slice:
    """The part of a region that a value in it depends on."""
    inside = {value for op in cut.ops for value in op.outputs}
    return back(seen, at, lambda value: value in cut.entries or value not in inside)


def smaller(region: Region, a: Pass, b: Pass, parted: Parted) -> Iterator[Region]:
    """The region up to each pair of values of one size that differ, earliest first."""
    pairs = []
    for rank_a, op_a in enumerate(region.a.ops):
        for rank_b, op_b in enumerate(region.b.ops):
            if op_a.outputs and op_b.outputs:
                unlike = op_a.name != op_b.name
                pairs.append((rank_a + rank_b + len(region.a.ops) * unlike, op_a.outputs[0], op_b.outputs[0]))
    tried = 0
    for _, at_a, at_b in sorted(pairs):
        if (at_a, at_b) == (region.a.exit, region.b.exit) or not _may_be_one(a, at_a, b, at_b, parted):
            continue
        tried += 1
        if tried > MOST:
            return
        yield replace(region, a=_until(a, region.a, at_a), b=_until(b, region.b, at_b), calls=(None, None), before=None)


def _may_be_one(a: Pass, at_a: int, b: Pass, at_b: int, parted: Parted) -> bool:
    """Whether two values could be the same one, computed otherwise: numbers of one count, that differ."""
    ours, theirs = a.values[at_a].array, b.values[at_b].array
    if ours is None or theirs is None or ours.size != theirs.size or ours.size < 2:
        return False
    if (
        ours.dtype.kind != theirs.dtype.kind
        or ours.dtype.kind not in "fc"
        or parted.common.known_a(at_a)
        or parted.common.known_b(at_b)
    ):
        return False
    slim = [sorted(n for n in each.shape if n != 1) for each in (ours, theirs)]
    return slim[0] == slim[1]
