"""Dropout by place and rate. It is left out of every pass, so it is compared by what it would have dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from suites.port.common_values import Common
from suites.port.comparison import Comparison
from suites.port.findings import Finding
from suites.port.hypotheses.question import Cause
from suites.port.parted import Parted
from suites.port.recording import Dropout, Pass

PASSING = ("relu", "relu6", "leaky_relu", "reshape", "transpose", "identity", "squeeze", "expand_dims", "cast")
"""What a dropout may stand before or behind: zeros stay zeros, and what is kept is scaled."""


def compare_randomness(c: Comparison, healed: tuple[Pass, Pass] | None) -> list[Finding]:
    """What drops on one side only, with another rate, or in inference.

    `healed`: the passes in training, with A's numbers in B behind what else is wrong; None where there is no training.
    """
    found = list(always_on(c))
    if healed is not None:
        told = {finding.place_a for finding in found} | {finding.place_b for finding in found}
        found += trained(c.parted("training", a=healed[0], b=healed[1]), told)
    return found


def always_on(c: Comparison) -> Iterator[Finding]:
    """Dropout that is not switched off in inference."""
    sides = [[d for d in side.passes["inference"].dropouts if d.active and d.rate] for side in (c.a, c.b)]
    if len(sides[0]) == len(sides[1]):
        return
    letter, other = ("A", "B") if len(sides[0]) > len(sides[1]) else ("B", "A")
    one = max(sides, key=len)[0]
    words = f"mode: {letter} drops in inference as well (rate {one.rate:g}), {other} does not"
    line_a, line_b = (one.line, "") if letter == "A" else ("", one.line)
    yield Finding("inference", named(one), named(one), Cause("always_on", words), None, line_a, line_b)


def trained(parted: Parted, told: set[str]) -> Iterator[Finding]:
    """Places and rates in training. A place is the numbers that are dropped."""
    a, b = parted.a, parted.b
    rest_b = [d for d in b.dropouts if d.rate and d.active]
    lonely = []
    for ours in (d for d in a.dropouts if d.rate and d.active):
        theirs = partner(ours, rest_b, a, b, parted.common)
        if theirs is None:
            lonely.append(ours)
            continue
        rest_b.remove(theirs)
        if ours.rate != theirs.rate:
            cause = Cause("dropout_rate", "dropout rate: A {a}, B {b}", f"{ours.rate:g}", f"{theirs.rate:g}")
            yield Finding("training", named(ours), named(theirs), cause, None, ours.line, theirs.line)
        elif ours.kind != theirs.kind and "attention" not in (ours.kind, theirs.kind):
            cause = Cause("dropout_kind", "dropout: A drops {a}, B drops {b}", ours.kind, theirs.kind)
            yield Finding("training", named(ours), named(theirs), cause, None, ours.line, theirs.line)
    yield from moved_or_missing(lonely, rest_b, told)


def partner(ours: Dropout, rest: Sequence[Dropout], a: Pass, b: Pass, found: Common) -> Dropout | None:
    """The dropout of B that drops the same numbers; one of attention weights inside a fused call by its rate."""
    places = around(a, ours.value)
    for theirs in rest:
        if any(found.same(one, other) for one in places for other in around(b, theirs.value)):
            return theirs
    fused = [d for d in rest if "attention" in (d.kind, ours.kind) and d.rate == ours.rate]
    constant = [d for d in rest if d.value is None and d.rate == ours.rate]
    return next(iter([*fused, *constant]), None)


def around(seen: Pass, at: int | None) -> set[int]:
    """A value, and those before and behind it that differ by what a dropout does not mind."""
    if at is None:
        return set()
    found = {at}
    waiting = [at]
    while waiting:
        here = waiting.pop()
        made = seen.producers.get(here)
        near = list(made.values) if made is not None and made.name in PASSING else []
        near += [out for op in seen.readers.get(here, ()) if op.name in PASSING for out in op.outputs]
        for other in near:
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def moved_or_missing(a: Sequence[Dropout], b: Sequence[Dropout], told: set[str]) -> Iterator[Finding]:
    """What has no partner: the same rate in another place, or on one side only."""
    rest = [d for d in b if named(d) not in told]
    for ours in (d for d in a if named(d) not in told):
        same = next((d for d in rest if d.rate == ours.rate), None)
        if same is not None:
            rest.remove(same)
            words = f"dropout of rate {ours.rate:g}: A drops what {{a}} gets or gives, B what {{b}} does"
            cause = Cause("dropout_place", words, named(ours), named(same))
            yield Finding("training", named(ours), named(same), cause, None, ours.line, same.line)
            continue
        cause = Cause("dropout_missing", f"dropout: A drops with rate {ours.rate:g} here, B does not")
        yield Finding("training", named(ours), named(ours), cause, line_a=ours.line)
    for theirs in rest:
        cause = Cause("dropout_extra", f"dropout: B drops with rate {theirs.rate:g} here, A does not")
        yield Finding("training", named(theirs), named(theirs), cause, line_b=theirs.line)


def named(dropout: Dropout) -> str:
    return dropout.layer or "dropout"
