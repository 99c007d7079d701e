"""From a comparison to findings: where the two models part, and what the difference is called.

A difference of an output is followed back to the first region where the two passes part. Then B is run once more with
A's numbers put in behind that region, so that a second cause shows by itself and what merely follows from the first one
does not. What no hypothesis names is told with its place, its operations and its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from impls.counted import counted, without_masks
from suites.port import hypotheses, precision
from suites.port.asking import question
from suites.port.bounds import Difference
from suites.port.buffers import of_buffers, without_followers
from suites.port.cancelling import cancel, gathered, moved_operation, moved_rotations, moved_scales
from suites.port.comparison import LOSS, Comparison
from suites.port.describing import SHOWN, described, line_of, places_of
from suites.port.files import PortError
from suites.port.findings import Finding
from suites.port.graph import Region, Slice, back
from suites.port.healing import Both, heal
from suites.port.hypotheses.causes import escaped
from suites.port.hypotheses.left_out import SQUASHING
from suites.port.hypotheses.question import ROUNDINGS, Cause, same
from suites.port.loss_facts import broadcast_loss, rounded_loss, weighed_outputs
from suites.port.narrowing import levelled, smaller
from suites.port.parted import Parted
from suites.port.randomness import compare_randomness
from suites.port.recording import Pass, Weight
from suites.port.structure import FACTOR, structure
from suites.port.training import of_training

MOST = 8  # causes of the port that are looked for in one mode
LONGEST_LOSS = 12  # operations of a loss that are spelled out
MOST_PLACES = 60  # with what no port can avoid
ELSEWHERE = ("norm_place", "example_order")  # causes after which no place of A is one of B
PADDING = ("pad",)  # done before a layer on one side, in it on the other


def findings(c: Comparison) -> list[Finding]:
    """All of them, in the order in which a mistake travels."""
    found = list(of_outputs(c))
    modes = {mode: of_mode(c, mode) for mode in c.modes}
    trained = modes.get("training")
    found += compare_randomness(c, (trained.seen.a, trained.seen.b) if trained is not None else None)
    for told in modes.values():
        found += [fresh for fresh in told.findings if not any(alike(fresh, known) for known in found)]
    moved = list(of_buffers(c)) if "training" in c.modes else []
    found = [*without_followers(found, moved), *moved]
    found += [named for one in of_training(c, found) for named in of_watched_loss(c, one)]
    found += c.held.findings if c.held is not None else ()
    return sorted(found, key=lambda finding: finding.rank)


def of_watched_loss(c: Comparison, found: Finding) -> list[Finding]:
    """What a loss that is not recognised does otherwise, by the operations of both; any other finding as it is."""
    tiny = found.difference is not None and precision.explained(found.difference)
    if found.phase != LOSS or (found.cause is not None and not tiny):
        return [found]
    try:
        for side in (c.side_a, c.side_b):
            side.recording.passes[LOSS], _ = side.watch(LOSS)
        plain = rounded_loss(c) if tiny else broadcast_loss(c)
        if plain is not None:
            return [replace(found, cause=plain, details="")]
        told = [one for one in of_mode(c, LOSS).findings if one.cause is not None] if found.cause is None else []
        weighed = weighed_outputs(c) if found.cause is None and not told else None
    except PortError:  # one side's can't be watched
        return [found]
    finally:
        for recording in (c.a, c.b):
            recording.passes.pop(LOSS, None)
    if weighed is not None:
        return [replace(found, cause=weighed, details="")]
    return [replace(one, place_a="loss", place_b="loss", difference=found.difference) for one in told] or [found]


def alike(one: Finding, other: Finding) -> bool:
    return (one.place_a, one.place_b, one.words()) == (other.place_a, other.place_b, other.words())


def of_outputs(c: Comparison) -> Iterator[Finding]:
    """Layers that were exchanged; outputs and weights that one side lacks."""
    yield from exchanged(c)
    yield from other_gates(c)
    for side, path in c.unpaired:
        other = "B" if side == "A" else "A"
        cause = Cause("output_missing", f"{side} gives {path}, {other} has no such output")
        yield Finding("inference", path, path, cause)
    for path, more in c.matching.copies.items():
        cause = Cause("shared", f"{escaped(path)}: A {{a}}, B {{b}}", *shared_words(len(more) + 1, more))
        yield Finding("inference", path, c.matching.names()[path], cause)
    for weight in c.matching.lone_a:
        yield lone(weight, "A has {a}, B has {b}", (weight.name, "none"))
    for weight in c.matching.lone_b:
        yield lone(weight, "A has {a}, B has {b}", ("none", weight.name))


def shared_words(count: int, more: Sequence[str]) -> tuple[str, str]:
    """What it means that one layer is several: they are equal here, and training moves them apart."""
    listed = ", ".join(more[:SHOWN]) + (", ..." if len(more) > SHOWN else "")
    return f"uses one layer {count} times", f"has {count} layers with weights of their own ({listed} besides)"


def exchanged(c: Comparison) -> Iterator[Finding]:
    """Layers of one name that do not do the same: only exchanged do they give A's outputs."""
    crossed = c.matching.crossed
    if crossed:
        parts = [f"{a} of A does what {b} of B does" for a, b in crossed[:SHOWN]]
        more = f" and {len(crossed) - SHOWN} more" if len(crossed) > SHOWN else ""
        what = f"weights exchanged: {', '.join(parts)}{more}; carried over by their names they give other outputs"
        yield Finding("inference", *crossed[0], Cause("exchanged", escaped(what)))


def other_gates(c: Comparison) -> Iterator[Finding]:
    """Gates in an order that no library has: blocks that are carried over as they lie give other outputs."""
    gates = c.matching.gates
    if gates is not None and not gates.customary((c.a.backend, c.b.backend)):
        cause = Cause("gate_order", "gate order: A takes the blocks as {a}, B as {b}", *gates.words())
        yield Finding("inference", *gates.layers, cause, c.matching.without)


def lone(weight: Weight, words: str, sides: tuple[str, str]) -> Finding:
    """A parameter that the other side lacks."""
    cause = Cause("parameter_missing", f"{weight.role} of {weight.layer or weight.name}: {words}", sides[0], sides[1])
    return Finding("inference", weight.layer, weight.layer, cause)


def of_mode(c: Comparison, mode: str) -> Explained:
    """The causes in one mode, one after the other: each is healed in B (or in A) before the next is looked for."""
    found: list[Finding] = []
    seen = Both(c.a.passes[mode], c.b.passes[mode])
    if c.difference_of(mode) is None:
        return Explained(found, seen)
    before: list[Both] = []  # the passes that each was found in
    places: set[tuple[int, int]] = set()
    undone: list[tuple[str, str]] = []  # layers behind which only one side has a factor, that the other has later
    while len(found) < MOST + sum(bool(finding.released) for finding in found) and len(places) < MOST_PLACES:
        parted = parted_without(c, mode, seen, undone)
        outputs = differing_outputs(c, mode, parted)
        if outputs is None:
            break
        region = levelled(trimmed(parted.first(outputs), seen), seen.a, seen.b)
        place = region.a.exit, region.b.exit
        if place in places:
            break
        places.add(place)
        fresh = finding(c, mode, seen, region, parted)
        if fresh.cause is None and region.layer is not None and of_other_sizes(region, seen):
            region, fresh = farther(c, mode, seen, region, parted, fresh)
        astray = is_factor(fresh) or is_astray(c.difference_of(mode), fresh, seen, region)
        if region.layer is not None and astray and is_undone(c, mode, seen, region, undone):
            undone.append(region.layer)
            continue
        found.append(fresh)
        before.append(seen)
        if found[-1].signature in ELSEWHERE:
            break
        healed = heal(c, mode, seen, region)
        if found[-1].cause is None and healed is not None:
            found[-1] = narrowed(c, mode, seen, region, parted) or in_part(c, mode, seen, region, parted, found[-1])
        if healed is None:
            break
        seen = healed
    return Explained(gathered(moved_rotations(moved_scales(rejoined(c, mode, found, before)))), seen)


def of_other_sizes(region: Region, seen: Both) -> bool:
    return seen.a.values[region.a.exit].size != seen.b.values[region.b.exit].size


def farther(
    c: Comparison, mode: str, seen: Both, region: Region, parted: Parted, plain: Finding
) -> tuple[Region, Finding]:
    """What ends at a pair of layers that do not give the same thing, asked up to the next place where both do."""
    assert region.layer is not None
    inner = narrowed(c, mode, seen, region, parted)
    if inner is not None:
        return region, inner
    parted = parted_without(c, mode, seen, [region.layer])
    outputs = differing_outputs(c, mode, parted)
    wider = levelled(trimmed(parted.first(outputs), seen), seen.a, seen.b) if outputs is not None else region
    if of_other_sizes(wider, seen) or (wider.a.exit, wider.b.exit) == (region.a.exit, region.b.exit):
        return region, plain
    return wider, finding(c, mode, seen, wider, parted)


def parted_without(
    c: Comparison, mode: str, seen: Both, layers: Sequence[tuple[str, str]], coarse: float = 0.0
) -> Parted:
    """The passes of one mode laid on each other, in which some pairs of layers are no places to part at."""
    parted = c.parted(mode, b=seen.b, a=seen.a, coarse=coarse)
    parted.pairs = [pair for pair in parted.pairs if pair not in layers]
    return parted


def is_factor(found: Finding) -> bool:
    return found.cause is not None and (found.cause.factor != 1.0 or FACTOR in found.words())


def is_astray(difference: Difference | None, found: Finding, seen: Both, region: Region) -> bool:
    """Whether two values are far apart, beside outputs that float32 alone moves: they are not the same quantity."""
    if difference is None or found.released or not precision.explained(difference):
        return False
    a, b = seen.a.values[region.a.exit].array, seen.b.values[region.b.exit].array
    return a is not None and b is not None and not same(a, b, precision.MOST)


def is_undone(c: Comparison, mode: str, seen: Both, region: Region, undone: Sequence[tuple[str, str]]) -> bool:
    """Whether a factor that one side applies at a layer reaches no output: the other side applies it later.

    Where float32 shows in a side, what both come to then may be as far apart as that takes it.
    """
    assert region.layer is not None
    single = precision.inside(seen.a) or precision.inside(seen.b)
    parted = parted_without(c, mode, seen, [*undone, region.layer], precision.STEP if single else 0.0)
    outputs = differing_outputs(c, mode, parted)
    if outputs is None:
        return True
    ways = (parted.a, region.a.exit, parted.common.known_a), (parted.b, region.b.exit, parted.common.known_b)
    return not any(is_made(one, at, end, known) for (one, at, known), end in zip(ways, outputs, strict=True))


def is_made(seen: Pass, at: int, end: int, known: Callable[[int], bool]) -> bool:
    """Whether a value lies on the way to another one from what both sides have."""
    return any(at in op.outputs for op in back(seen, end, known).ops)


def rejoined(c: Comparison, mode: str, found: Sequence[Finding], before: Sequence[Both]) -> list[Finding]:
    """The findings; of an operation that B lacks at one place and has at the next, both places asked as one."""
    kept: list[Finding] = []
    at = 0
    while at < len(found):
        if at + 1 < len(found) and cancel(found[at], found[at + 1]):
            kept.append(asked_as_one(c, mode, found[at], found[at + 1], before[at]))
            at += 2
        else:
            kept.append(found[at])
            at += 1
    return kept


def asked_as_one(c: Comparison, mode: str, one: Finding, then: Finding, before: Both) -> Finding:
    """What is wrong from the first place to behind the second; where that has no name, that the operation was moved."""
    parted = c.parted(mode, b=before.b, a=before.a)
    parted.pairs = [pair for pair in parted.pairs if pair != (one.place_a, one.place_b)]
    outputs = differing_outputs(c, mode, parted)
    region = trimmed(parted.first(outputs), before) if outputs is not None else None
    whole = finding(c, mode, before, region, parted) if region is not None else None
    if whole is not None and whole.cause is not None:
        return whole
    return moved_operation(one, then)


@dataclass
class Explained:
    """The causes in one mode, and the passes as they are when each has been healed."""

    findings: list[Finding]
    seen: Both


def trimmed(region: Region, seen: Both) -> Region:
    """The region without the activation that one side has in it and the other one behind it."""
    a = before_activation(region.a, seen.a, region.b, seen.b)
    b = before_activation(region.b, seen.b, region.a, seen.a)
    return replace(region, a=a, b=b)


def before_activation(own: Slice, seen: Pass, other: Slice, seen_other: Pass) -> Slice:
    last = own.ops[-1] if own.ops else None
    if last is None or last.name not in SQUASHING or len(last.values) != 1 or last.outputs != (own.exit,):
        return own
    reading = [op.name for op in seen_other.readers.get(other.exit, ())]
    behind = other.ops[-1].name if other.ops else ""
    same_size = seen.values[last.values[0]].size == seen_other.values[other.exit].size
    if reading != [last.name] or behind == last.name or not same_size or last.values[0] in own.entries:
        return own
    return Slice(own.ops[:-1], own.entries, last.values[0])


def differing_outputs(c: Comparison, mode: str, parted: Parted) -> tuple[int, int] | None:
    """The first pair of outputs whose numbers are not the same; by value ids."""
    for path_a, path_b in c.pairs_of(mode):
        ours, theirs = parted.a.outputs.get(path_a), parted.b.outputs.get(path_b)
        if ours is not None and theirs is not None and not parted.common.same(ours, theirs):
            return ours, theirs
    return None


def finding(c: Comparison, mode: str, seen: Both, region: Region, parted: Parted) -> Finding:
    """The region as a finding: its cause by the hypotheses, or all that is known of it."""
    place_a, place_b = places_of(region, seen)
    difference = c.difference_of(mode)
    causes = explain(c, mode, seen, region, parted)
    lines = line_of(region.a), line_of(region.b)
    details = "" if causes else described(region, seen)
    return Finding(mode, place_a, place_b, causes[0] if causes else None, difference, *lines, details)


def explain(c: Comparison, mode: str, seen: Both, region: Region, parted: Parted) -> list[Cause]:
    difference = c.difference_of(mode)
    whole = difference is not None and precision.explained(difference) and not rescaled(seen, region)
    if whole or only_rounded(seen, region):
        single = precision.rounded_inside((region.a, seen.a), (region.b, seen.b))
        if single is not None:
            return [single]
    ways = [structure, asked]
    if region.before is not None and not done_inside(region):
        return first_of(ways, c, mode, seen, region.before, parted)
    causes = asked(c, mode, seen, region, parted) if region.kind != "between" else []
    return causes or first_of(ways, c, mode, seen, region.before or region, parted)


def narrowed(c: Comparison, mode: str, seen: Both, region: Region, parted: Parted) -> Finding | None:
    """The first value of the region that has a name and that all of the rest follows from; None where there is none."""
    for place in smaller(region, seen.a, seen.b, parted):
        asked_there = question(c, mode, seen, place, parted)
        if asked_there is None:
            continue
        causes = hypotheses.explain_place(asked_there)
        if causes and follows(c, mode, seen, place, region):
            names = places_of(region, seen)
            difference = c.difference_of(mode)
            return Finding(mode, *names, causes[0], difference, line_of(place.a), line_of(place.b))
    return in_a_formula(c, mode, seen, region, parted) if mode == LOSS else None


def in_part(c: Comparison, mode: str, seen: Both, region: Region, parted: Parted, plain: Finding) -> Finding:
    """The finding with the places that differ as its cause, where these follow a rule; else as it is."""
    asked_there = question(c, mode, seen, region, parted)
    causes = hypotheses.explain_part(asked_there) if asked_there is not None else []
    return replace(plain, cause=causes[0], details="") if causes else plain


def in_a_formula(c: Comparison, mode: str, seen: Both, region: Region, parted: Parted) -> Finding | None:
    """A loss as both sides put it together from what they agree on, where that is short."""
    asked_there = question(c, mode, seen, region, parted)
    causes = hypotheses.explain_formula(asked_there, LONGEST_LOSS) if asked_there is not None else []
    lines = line_of(region.a), line_of(region.b)
    return Finding(mode, *places_of(region, seen), causes[0], c.difference_of(mode), *lines) if causes else None


def follows(c: Comparison, mode: str, seen: Both, place: Region, region: Region) -> bool:
    """Whether a region, or the model, gives the same on both sides with the numbers of one put in at a place of it."""
    healed = heal(c, mode, seen, place)
    if healed is None:
        return False
    if differing_outputs(c, mode, c.parted(mode, b=healed.b, a=healed.a)) is None:
        return True
    ours, theirs = healed.a.values[region.a.exit].array, healed.b.values[region.b.exit].array
    return ours is not None and theirs is not None and same(ours, theirs, ROUNDINGS * c.unit * math.sqrt(ours.size))


def done_inside(region: Region) -> bool:
    """Whether one side may do before a layer what the other one does in it: padding, or all of it by functions."""
    pads = any(op.name in PADDING for cut in (region.a, region.b) for op in cut.ops)
    return pads or (region.calls[0] is None) != (region.calls[1] is None)


def only_rounded(seen: Both, region: Region) -> bool:
    """Whether both sides leave a region as near to each other as float32 takes them, whatever comes later."""
    a, b = seen.a.values[region.a.exit].array, seen.b.values[region.b.exit].array
    return a is not None and b is not None and same(a, b, precision.STEP)


def rescaled(seen: Both, region: Region) -> bool:
    """Whether one side's numbers are larger, all in all, by more than float32 takes them anywhere: a factor."""
    a, b = seen.a.values[region.a.exit].array, seen.b.values[region.b.exit].array
    if a is None or b is None or a.size != b.size:
        return False
    sizes = [float(np.linalg.norm(np.ravel(without_masks(each, counted(each))))) for each in (a, b)]
    return abs(sizes[1] - sizes[0]) > precision.MOST * max(sizes)


def first_of(ways: Sequence[Callable[..., list[Cause]]], *given: object) -> list[Cause]:
    return next((causes for way in ways if (causes := way(*given))), [])


def asked(c: Comparison, mode: str, seen: Both, region: Region, parted: Parted) -> list[Cause]:
    """What the hypotheses say."""
    made = question(c, mode, seen, region, parted)
    if made is None:
        return []
    failed: list[str] = []
    found = hypotheses.explain_region(made, failed)
    if not found and not only_rounded(seen, region):  # of what float32 leaves there is nothing to be measured
        found = hypotheses.explain_measured(made)
    place = " of A, ".join(region.layer) + " of B" if region.layer else "the output"
    c.notes += [f"at {place}: {line}" for line in dict.fromkeys(failed)]
    return found
