"""Where a side leaves what rounding in the lower type may do, and by which operation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from impls.floating_types import FLOATING
from suites.port.graph import back
from suites.port.low.runs import LowSide, Tap
from suites.port.low.types import name_of, unit_of
from suites.port.low.units import computed_values
from suites.port.parted import Parted
from suites.port.recording import Op, Pass

ADDING = ("add", "maximum", "clip")
BACK = 8  # operations behind a place at which a constant is looked for
BENFORD = 3 / (8 * math.log(2))  # of the square of half an ulp, relative: see impls.worker.stochastic_rounding
SEVERAL = 8  # additions that one would leave to a product or a sum
NOT_FINITE, LEAVES, COARSER = "not_finite", "leaves", "coarser"


@dataclass(frozen=True)
class LowFinding:
    """One thing that a lower type does to a side. `kind`: "not_finite", "leaves" or "coarser"; `signature` its cause.

    "coarser" is only rounding: one side stores in the lower type what the other keeps in a wider one.
    """

    kind: str
    side: str
    place: str
    line: str
    signature: str
    words: str
    error: float
    bound: float
    other: float = 0.0  # the error of the other side at the same value, where that is known

    @property
    def wrong(self) -> bool:
        return self.kind != COARSER


def of_side(one: LowSide, other: LowSide, parted: Parted, dtype: str) -> Iterator[LowFinding]:
    """The first place where a side leaves its bound, if an output does."""
    if one.refused:
        return
    if any(output.missing for output in one.outputs.values()):
        tap = next((tap for tap in one.taps if tap.missing), None)
        yield not_finite(one, tap, dtype)
    elif any(output.leaves for output in one.outputs.values()):
        yield leaving(one, other, parted, dtype)


def not_finite(one: LowSide, tap: Tap | None, dtype: str) -> LowFinding:
    """Infinite, or no number, where the float64 pass has numbers."""
    output = next(output for output in one.outputs.values() if output.missing)
    count = f"{output.missing} of {output.found.size} numbers of {output.path} are infinite or NaN in {dtype}"
    if tap is None:
        return LowFinding(NOT_FINITE, one.letter, "the output", "", "unseen", count, math.inf, output.bound)
    signature, cause = vanished(one, tap, dtype) or overflowed(one, tap, dtype)
    words = f"{cause}; {count}"
    return LowFinding(NOT_FINITE, one.letter, tap.place, tap.op.line, signature, words,
                      math.inf, tap.bound)  # fmt: skip


def overflowed(one: LowSide, tap: Tap, dtype: str) -> tuple[str, str]:
    """A number that the type has no room for, or what became of one."""
    limit = FLOATING[dtype].largest
    for literal in literals(tap.op):
        if abs(literal) > limit:
            return "mask", f"{literal:.6g} is no number of {dtype}, which ends at {limit:.5g} ({tap.op.raw})"
    largest = largest_of(one.aligned.truth, tap)
    if largest > limit:
        return "overflow", f"{tap.op.raw} gives up to {largest:.3g}, {dtype} ends at {limit:.5g}"
    return "not_finite", f"{tap.op.raw} gives what is no number"


def overflowed_before(one: LowSide, tap: Tap, dtype: str) -> Tap | None:
    """An operation shortly before whose numbers the type has no room for, where that makes no NaN: 1 / inf is 0."""
    near = behind(one.aligned.truth, tap.op)
    lost = (each for each in one.taps if each.missing and each.op in near)
    return next((each for each in lost if overflowed(one, each, dtype)[0] == "overflow"), None)


def largest_of(seen: Pass, tap: Tap) -> float:
    """The size of the numbers of a value: the root of their mean square, which is no larger than the largest."""
    prints = seen.values[tap.at].print
    return 0.0 if prints is None else float(abs(prints[0]))


def literals(op: Op) -> list[float]:
    """The numbers written out among the operands and the settings of an operation."""
    found: list[float] = []
    values = [operand.literal for operand in op.inputs] + list(op.attributes.values())
    for value in values:
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, (int, float)) and not isinstance(number, bool):
                found.append(float(number))
    return found


def vanished(one: LowSide, tap: Tap, dtype: str) -> tuple[str, str] | None:
    """An epsilon that is 0 in the type, in what is added before this place."""
    found = lost_epsilon(one, tap, dtype)
    if found is None:
        return None
    return "epsilon", f"{epsilon_words(found[1], dtype)}, so that {tap.op.raw} gives what is no number"


def stored_low(one: LowSide, op: Op, dtype: str) -> bool:
    """Whether the result of an operation is held in the lower type."""
    return any(dtype in one.aligned.types(at)[:1] for at in op.outputs)


def behind(seen: Pass, op: Op) -> list[Op]:
    """An operation and the few that its operands come from, nearest first."""
    found, waiting = [op], [op]
    while waiting and len(found) < BACK:
        for at in waiting.pop(0).values:
            made = seen.producers.get(at)
            if made is not None and made not in found:
                found.append(made)
                waiting.append(made)
    return found


def leaving(one: LowSide, other: LowSide, parted: Parted, dtype: str) -> LowFinding:
    """The first value that is farther off than rounding can take it."""
    tap = next((tap for tap in one.taps if tap.leaves and not masks_alone(one, tap)), None)
    if tap is None:
        output = next(output for output in one.outputs.values() if output.leaves)
        words = f"{output.path} is farther from the truth than rounding can take it; no operation of its is"
        return LowFinding(LEAVES, one.letter, "the output", "", "unseen", words, output.error, output.bound)
    partner = partner_tap(one, tap, other, parted)
    lost = overflowed_before(one, tap, dtype)
    if lost is not None:
        words = f"{overflowed(one, lost, dtype)[1]}; {tap.op.raw} makes ordinary numbers of what that becomes"
        return LowFinding(LEAVES, one.letter, lost.place, lost.op.line, "overflow", words, tap.error, tap.bound)
    signature, cause = constants_in(one, tap, dtype) or beyond_rounding(one, tap, dtype)
    words = cause + types_beside(one, tap, other, partner)
    return LowFinding(LEAVES, one.letter, tap.place, tap.op.line, signature, words, tap.error, tap.bound,
                      partner.error if partner is not None else 0.0)  # fmt: skip


def masks_alone(one: LowSide, tap: Tap) -> bool:
    """Whether all that leaves its bound is a mask that became infinite."""
    return tap.missing > 0 and tap.error <= tap.bound


def constants_in(one: LowSide, tap: Tap, dtype: str) -> tuple[str, str] | None:
    """What is computed from no input and no weight, in a type that is too coarse for it."""
    low = one.aligned.low
    op = one.aligned.partners.get(tap.op.at)
    computed = computed_values(low)
    if op is None or not (set(op.outputs) | set(op.values)) - computed:
        return None
    coarse = [made for made in behind(low, op) if holds_low_constant(low, made, computed, dtype)]
    if not coarse:
        return None
    names = ", ".join(dict.fromkeys(made.raw for made in reversed(coarse)))
    lines = [made.line for made in coarse if made.line]
    where = f" ({lines[-1]})" if lines else ""
    return "constants", f"positions, frequencies or a table are held in {dtype}: {names}{where}"


def holds_low_constant(low: Pass, op: Op, computed: set[int], dtype: str) -> bool:
    """Whether an operation reads or gives a constant of the lower type."""
    constants = [at for at in (*op.outputs, *op.values) if at not in computed]
    return any(name_of(low.values[at].dtype) == dtype for at in constants)


def beyond_rounding(one: LowSide, tap: Tap, dtype: str) -> tuple[str, str]:
    """More than a rounding of the result: an epsilon that is lost, sums in the type itself, another kernel."""
    small = lost_epsilon(one, tap, dtype)
    if small is not None:
        op, epsilon = small
        return "epsilon", f"{epsilon_words(epsilon, dtype)} ({op.raw})"
    return "kernel", f"{tap.op.raw} is off by more than a rounding of its operands and its result in {dtype}"


def epsilon_words(epsilon: float, dtype: str) -> str:
    return f"the epsilon {epsilon:.3g} is 0 in {dtype}, whose smallest number is {FLOATING[dtype].smallest:.1e}"


def lost_epsilon(one: LowSide, tap: Tap, dtype: str) -> tuple[Op, float] | None:
    """An operation before this place that adds a number which is 0 in the type."""
    for op in behind(one.aligned.truth, tap.op):
        small = [number for number in literals(op) if 0 < abs(number) < FLOATING[dtype].smallest / 2]
        if small and op.name in ADDING and stored_low(one, op, dtype):
            return op, small[0]
    return None


def partner_tap(one: LowSide, tap: Tap, other: LowSide, parted: Parted) -> Tap | None:
    """The other side's value that holds the same numbers in float64."""
    common = parted.common
    known: Mapping[int, frozenset[int]] = common.of_a if one.letter == "A" else common.of_b
    for at in sorted(known.get(tap.at, ())):
        found = other.at(at)
        if found is not None:
            return found
    return None


def types_beside(one: LowSide, tap: Tap, other: LowSide, partner: Tap | None) -> str:
    if partner is None or not tap.types or not partner.types:
        return ""
    if partner.types[0] == tap.types[0]:
        return ""
    return f"; {other.letter} has {partner.types[0]} here, {one.letter} {tap.types[0]}"


def coarser(one: LowSide, other: LowSide, parted: Parted, dtype: str) -> Iterator[LowFinding]:
    """The first value at which a side rounds more than the other.

    That is: it is held in a lower type and is off by one rounding more; a constant leaves its bound here alone; or it
    is farther off than the other side's may be, where that goes for an output as well.
    """
    if one.refused or other.refused:
        return
    outputs = farther_outputs(one, other)
    for tap in one.taps:
        partner = partner_tap(one, tap, other, parted)
        if partner is None or tap.missing or not tap.types or not partner.types:
            continue
        alone = tap.leaves and not partner.leaves
        if rounds_more(tap, partner) or alone or (outputs and tap.error > partner.bound):
            yield coarse_at(one, tap, other, partner, parted, dtype)
            return


def rounds_more(tap: Tap, partner: Tap) -> bool:
    """Whether a value is held in a lower type than the other side's, and is off by one rounding to it more."""
    unit = unit_of(tap.types[0])
    once = unit * math.sqrt(BENFORD / 3)
    return unit > unit_of(partner.types[0]) and tap.error > math.hypot(partner.error, once)


def farther_outputs(one: LowSide, other: LowSide) -> bool:
    """Whether an output is farther from the truth than rounding may take the other side's."""
    pairs = zip(one.outputs.values(), other.outputs.values(), strict=False)
    return any(ours.error > theirs.bound for ours, theirs in pairs)


def coarse_at(one: LowSide, tap: Tap, other: LowSide, partner: Tap, parted: Parted, dtype: str) -> LowFinding:
    constant = constants_in(one, tap, dtype)
    additions = added_up(one, tap, parted)
    signature, words = "types", f"{tap.op.raw} in {tap.types[0]}"
    if constant is not None:
        signature, words = constant
    elif additions >= SEVERAL:
        signature, words = "sum", f"{additions} additions, each rounded to {tap.types[0]}, end in {tap.op.raw}"
    words += f", {other.letter} has {partner.op.raw} in {partner.types[0]}: only rounding, but more of it"
    return LowFinding(COARSER, one.letter, tap.place, tap.op.line, signature, words, tap.error, partner.bound,
                      partner.error)  # fmt: skip


def added_up(one: LowSide, tap: Tap, parted: Parted) -> int:
    """How many additions of a side lie between this value and the last ones that the other side has, too."""
    known = parted.common.of_a if one.letter == "A" else parted.common.of_b
    cut = back(one.aligned.truth, tap.at, lambda at: bool(known.get(at)))
    return sum(op.name == "add" for op in cut.ops)
