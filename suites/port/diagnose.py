"""From a comparison to findings: where the two models part, and what the difference is called.

A difference of an output is followed back to the first region where the two passes part. Then B is run once more with
A's numbers put in behind that region, so that a second cause shows by itself and what merely follows from the first one
does not. What no hypothesis names is told with its place, its operations and its numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from suites.port import hypotheses, precision
from suites.port.captures import is_capture
from suites.port.comparison import LOSS, Comparison
from suites.port.files import PortError
from suites.port.findings import Finding
from suites.port.graph import Parted, Region, Slice
from suites.port.hypotheses.causes import escaped
from suites.port.hypotheses.mutations import SQUASHING
from suites.port.hypotheses.question import ROUNDINGS, Cause, Entry, Part, Question, same
from suites.port.layouts import IMAGES, distance, fit, like
from suites.port.matching.links import FREE, Link
from suites.port.narrowing import levelled, smaller
from suites.port.randomness import compare_randomness
from suites.port.recording import Call, Op, Pass, Recording, Weight
from suites.port.structure import origin, structure
from suites.port.training import of_training

MOST = 8  # causes of the port that are looked for in one mode
MOST_PLACES = 60  # with what no port can avoid
ELSEWHERE = ("norm_place", "example_order")  # causes after which no place of A is one of B
PADDING = ("pad",)  # done before a layer on one side, in it on the other
SAME_FACTOR = 1e-9  # relative: two factors are each other's inverse
SEQUENCE = 3  # axes: two of them exchanged may be the bug that is looked for
SHOWN = 3  # operations that a place is told by


def findings(c: Comparison) -> list[Finding]:
    """All of them, in the order in which a mistake travels."""
    found = list(of_outputs(c))
    modes = {mode: of_mode(c, mode) for mode in c.modes}
    trained = modes.get("training")
    found += compare_randomness(c, (trained.seen.a, trained.seen.b) if trained is not None else None)
    for told in modes.values():
        found += [fresh for fresh in told.findings if not any(alike(fresh, known) for known in found)]
    found += [named for one in of_training(c, found) for named in of_watched_loss(c, one)]
    found += c.held.findings if c.held is not None else ()
    return sorted(found, key=lambda finding: finding.rank)


def of_watched_loss(c: Comparison, found: Finding) -> list[Finding]:
    """What a loss that is not recognised does otherwise, by the operations of both; any other finding as it is."""
    if found.phase != LOSS or found.cause is not None:
        return [found]
    try:
        for side in (c.side_a, c.side_b):
            side.recording.passes[LOSS], _ = side.watch(LOSS)
        told = [one for one in of_mode(c, LOSS).findings if one.cause is not None]
    except PortError:  # one side's can't be watched
        return [found]
    finally:
        for recording in (c.a, c.b):
            recording.passes.pop(LOSS, None)
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
    while len(found) < MOST + sum(bool(finding.released) for finding in found) and len(places) < MOST_PLACES:
        parted = c.parted(mode, b=seen.b, a=seen.a)
        outputs = differing_outputs(c, mode, parted)
        if outputs is None:
            break
        region = levelled(trimmed(parted.first(outputs), seen), seen.a, seen.b)
        place = region.a.exit, region.b.exit
        if place in places:
            break
        places.add(place)
        found.append(finding(c, mode, seen, region, parted))
        before.append(seen)
        if found[-1].signature in ELSEWHERE:
            break
        healed = heal(c, mode, seen, region)
        if found[-1].cause is None and healed is not None:
            found[-1] = narrowed(c, mode, seen, region, parted) or found[-1]
        if healed is None:
            break
        seen = healed
    return Explained(gathered(moved_scales(rejoined(c, mode, found, before))), seen)


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


MISSING = re.compile(r"(\w+)(?: of [^(:]*)?(?: \(([^)]*)\))?(?: of (.*?))?: A \{a\}")


def cancel(one: Finding, then: Finding) -> bool:
    """Whether B lacks an operation at one of two places, and has one of this name that A lacks at the other."""
    if one.cause is None or then.cause is None or "missing" not in (one.cause.signature, then.cause.signature):
        return False
    names = [MISSING.match(each.cause.template) for each in (one, then) if each.cause is not None]
    if not all(names) or len({found.group(1) for found in names if found}) != 1:
        return False
    return (one.cause.a, one.cause.b) == (then.cause.b, then.cause.a)


def moved_operation(one: Finding, then: Finding) -> Finding:
    """One finding of two that cancel: where each side has the operation."""
    assert one.cause is not None and then.cause is not None
    lines = {}
    for each in (one.cause, then.cause):
        match = MISSING.match(each.template)
        assert match is not None
        lines["A" if each.a == "computes it" else "B"] = match.group(2) or "elsewhere"
    first = "B" if one.cause.b == "computes it" else "A"
    words = {letter: f"{'earlier' if letter == first else 'later'} ({line})" for letter, line in lines.items()}
    what = MISSING.match(one.cause.template)
    subject = what.group(1) if what is not None else "an operation"
    cause = Cause("moved", f"place of {subject}: A {{a}}, B {{b}}", words.get("A", ""), words.get("B", ""))
    return replace(one, cause=cause, line_a=then.line_a or one.line_a)


def gathered(found: Sequence[Finding]) -> list[Finding]:
    """The findings, with what no port can avoid told once for all of its places."""
    kept: list[Finding] = []
    for one in found:
        same = next((k for k in kept if one.released and k.cause == one.cause), None)
        if same is None:
            kept.append(one)
    return kept


def moved_scales(found: Sequence[Finding]) -> list[Finding]:
    """The findings; a factor that B lacks at one place and has at a later one is one that was moved."""
    kept: list[Finding] = []
    for one in found:
        moved = moved_scale(kept[-1], one) if kept else None
        if moved is None:
            kept.append(one)
        else:
            kept[-1] = moved
    return kept


def moved_scale(first: Finding, then: Finding) -> Finding | None:
    """One finding of two whose factors cancel; None where they don't, or where it isn't known which side is early."""
    if first.cause is None or then.cause is None or 1.0 in (first.cause.factor, then.cause.factor):
        return None
    if abs(first.cause.factor * then.cause.factor - 1) > SAME_FACTOR or {first.cause.a, first.cause.b}.isdisjoint("1"):
        return None
    early, late = "multiplies first and adds then", "adds first and multiplies all of it by "
    moved = Cause("scale_place", "place of a scale: A {a}, B {b}", early, late + then.cause.b)
    if first.cause.a == "1":
        moved = Cause("scale_place", "place of a scale: A {a}, B {b}", late + then.cause.a, early)
    return replace(then, cause=moved, line_a=first.line_a or then.line_a)


@dataclass
class Both:
    """The passes of both sides, and what has been put in the place of their values so far."""

    a: Pass
    b: Pass
    overrides_a: Mapping[int, np.ndarray] = field(default_factory=dict)
    overrides_b: Mapping[int, np.ndarray] = field(default_factory=dict)


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


def heal(c: Comparison, mode: str, seen: Both, region: Region) -> Both | None:
    """B's pass with A's numbers at the end of the region, or A's with B's where only A's engine can; None: neither."""
    ours, theirs = seen.a.values[region.a.exit].array, seen.b.values[region.b.exit].array
    if ours is None or theirs is None or ours.size != theirs.size:
        return None
    turned = c.a.turned != c.b.turned
    try:
        if can_heal(c.b):
            overrides = {**seen.overrides_b, region.b.exit: moved(ours, theirs, turned)}
            again, _ = c.side_b.watch(mode, overrides=overrides)
            return Both(seen.a, again, seen.overrides_a, overrides)
        if can_heal(c.a):
            overrides = {**seen.overrides_a, region.a.exit: moved(theirs, ours, turned)}
            again, _ = c.side_a.watch(mode, overrides=overrides)
            return Both(again, seen.b, overrides, seen.overrides_b)
    except PortError:  # the numbers do not fit there
        return None
    return None


def can_heal(side: Recording) -> bool:
    """Whether a value can be put in: a capture has run already, NumPy's operations can only be watched."""
    return side.backend in ("torch", "jax", "tensorflow") and not is_capture(side.path)


def moved(array: np.ndarray, wanted: np.ndarray, turned: bool) -> np.ndarray:
    """`array` in the layout of `wanted`; cut into other axes where its numbers are the same. Raises PortError."""
    found = turned_image(array, wanted)
    found = fit(array, wanted, turned) if found is None else found
    if found.shape == wanted.shape:
        return found
    cut = like(array, wanted, precision.STEP)
    if cut is None:
        raise PortError("no order of axes fits")
    return cut


def turned_image(array: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """An image with as many channels as rows and columns, where the other order of its axes is that of `wanted`."""
    orders = IMAGES.get(array.ndim, ()) if array.shape == wanted.shape else ()
    options = [array.transpose(order) for order in orders]
    options = [option for option in options if option.shape == wanted.shape]
    nearest = min(options, key=lambda option: distance(wanted, option), default=None)
    if nearest is None:
        return None
    allowed = distance(wanted, array) / 2 if array.ndim > SEQUENCE else precision.STEP
    return nearest if distance(wanted, nearest) < allowed else None


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
    if (difference is not None and precision.explained(difference)) or only_rounded(seen, region):
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
    return None


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


def first_of(ways: Sequence[Callable[..., list[Cause]]], *given: object) -> list[Cause]:
    return next((causes for way in ways if (causes := way(*given))), [])


def asked(c: Comparison, mode: str, seen: Both, region: Region, parted: Parted) -> list[Cause]:
    """What the hypotheses say."""
    made = question(c, mode, seen, region, parted)
    if made is None:
        return []
    failed: list[str] = []
    found = hypotheses.explain_region(made, failed)
    place = " of A, ".join(region.layer) + " of B" if region.layer else "the output"
    c.notes += [f"at {place}: {line}" for line in dict.fromkeys(failed)]
    return found


def question(c: Comparison, mode: str, seen: Both, region: Region, parted: Parted) -> Question | None:
    """The region as a question; None where its numbers were not kept."""
    a = part(c.a, seen.a, region.a, region.calls[0], parted.common.of_a, c, "a")
    b = part(c.b, seen.b, region.b, region.calls[1], parted.common.of_b, c, "b")
    if a is None or b is None:
        return None
    single = any(precision.evidence(cut.ops, one) for cut, one in ((region.a, seen.a), (region.b, seen.b)))
    return Question(mode, region.kind, a, b, c.unit, region.layer, single)


def part(
    side: Recording, seen: Pass, cut: Slice, call: Call | None,
    partners: Mapping[int, frozenset[int]], c: Comparison, letter: str,
) -> Part | None:  # fmt: skip
    """One side of a region with its numbers."""
    values = {}
    ids = {cut.exit, *cut.entries, *(at for op in cut.ops for at in (*op.outputs, *op.values))}
    ids.update(call.inputs if call is not None else ())  # an engine may hand it on turned, time first
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


def places_of(region: Region, seen: Both) -> tuple[str, str]:
    """Where a region is, on both sides."""
    if region.kind == "between" and region.layer:
        return tuple(
            between(cut, one, layer)
            for cut, one, layer in zip((region.a, region.b), (seen.a, seen.b), region.layer, strict=False)
        )  # type: ignore[return-value]
    if region.layer:
        return region.layer
    return "output", "output"


def between(cut: Slice, seen: Pass, layer: str) -> str:
    """`between norm1 and attention`, or the layer that all of it is inside of."""
    before = [seen.producers[at].layer for at in cut.entries if at in seen.producers]
    names = [name for name in dict.fromkeys(before) if name and name != layer]
    start = names[-1] if names else "the inputs"
    return f"between {start} and {layer}"


def line_of(cut: Slice) -> str:
    """The user's line of the last operation of a region."""
    lines = [op.line for op in cut.ops if op.line]
    return lines[-1] if lines else ""


def described(region: Region, seen: Both) -> str:
    """What is known of a region that no hypothesis names: its operations, and the first rows that differ."""
    ours, theirs = spell(region.a.ops), spell(region.b.ops)
    a, b = seen.a.values[region.a.exit].array, seen.b.values[region.b.exit].array
    rows = "" if a is None or b is None else f"; {example(a, b)}"
    return f"A computes {ours}; B computes {theirs}{rows}"


def spell(ops: Sequence[Op]) -> str:
    shown = [op.name for op in ops if op.name not in ("identity", "cast")]
    if len(shown) > 2 * SHOWN:
        shown = [*shown[:SHOWN], "...", *shown[-SHOWN:]]
    return " ".join(shown) or "nothing"


def example(a: np.ndarray, b: np.ndarray) -> str:
    """The smallest rows that show the difference."""
    if a.shape != b.shape:
        return f"A has shape {a.shape}, B {b.shape}"
    flat_a, flat_b = a.reshape(-1, a.shape[-1] if a.ndim else 1), b.reshape(-1, b.shape[-1] if b.ndim else 1)
    far = np.abs(flat_a.astype(float) - flat_b).max(1)
    row = int(np.argmax(far > 0.5 * far.max()))
    return f"for example row {row}: A {numbers(flat_a[row])}, B {numbers(flat_b[row])}"


def numbers(row: np.ndarray) -> str:
    shown = ", ".join(f"{value:.4g}" for value in row[:4])
    return f"[{shown}{', ...' if len(row) > 4 else ''}]"
