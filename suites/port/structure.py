"""What two graphs alone say of a region: another tensor, an operation left out, put in or done elsewhere."""

from __future__ import annotations

import itertools
from typing import Protocol

import numpy as np

from suites.port.comparison import Comparison
from suites.port.fits import multiple
from suites.port.graph import Region, back
from suites.port.hypotheses.causes import escaped, spell
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.replaced import CONSTANT
from suites.port.hypotheses.rotations import ROTARY, measure
from suites.port.parted import Parted
from suites.port.recording import Pass

BEFORE, AFTER = "before the branch (pre-norm)", "after the addition (post-norm)"
FACTOR = "a factor of "
IDLE = ("relu", "clip", "relu6", "hardtanh", "leaky_relu", "maximum", "abs")  # which may give back what is positive
SHAPING = ("reshape", "transpose", "squeeze", "expand_dims", "identity", "cast", "broadcast")


class Sides(Protocol):
    """The passes of both sides."""

    a: Pass
    b: Pass


def structure(c: Comparison, mode: str, seen: Sides, region: Region, parted: Parted) -> list[Cause]:
    """What the graph alone says: another tensor, something left out or added."""
    found = wiring(region, parted, seen) or added(region, parted, seen)
    return [found] if found is not None else []


def wiring(region: Region, parted: Parted, seen: Sides) -> Cause | None:
    """B hands a layer something else that A has as well: the tensor from another place."""
    if region.kind != "between" or not parted.common.known_b(region.b.exit) or rearranged(region, seen):
        return None
    taken = min(at for at in parted.common.of_b[region.b.exit] if parted.common.same(at, region.b.exit))
    placed = norm_place(region, parted, seen)
    if placed is not None:
        return placed
    left_out = steps_between(seen.a, taken, region.a.exit)
    if left_out:
        return Cause("missing", "A applies {a} here, B applies {b}", left_out, idle_step(seen.b, region.b.exit))
    added_here = addition(seen.a, taken, region.a.exit)
    if added_here:
        return Cause("missing", added_here + ": A {a}, B {b}", "computes it", "leaves it out")
    names = origin(seen.a, region.a.exit), origin(seen.a, taken)
    if names[0] == names[1]:
        return None
    layer = region.layer[0] if region.layer else "the output"
    return Cause("wiring", f"input of {layer}: A takes {{a}}, B what is {{b}} in A", *names)


def norm_place(region: Region, parted: Parted, seen: Sides) -> Cause | None:
    """A norm before a branch on one side, behind the addition of the branch on the other."""
    call = region.calls[0]
    if call is None or not call.kind.endswith("norm"):
        return None
    behind = [residual(one, cut.exit) for one, cut in ((seen.a, region.a), (seen.b, region.b))]
    if behind[0] == behind[1]:
        return None
    early = (seen.b, region.b) if behind[0] else (seen.a, region.a)
    if not goes_around(early[0], early[1].exit):
        return None
    words = [AFTER if after else BEFORE for after in behind]
    return Cause("norm_place", "place of the norms: A normalises {a}, B {b}", words[0], words[1])


def residual(seen: Pass, at: int) -> bool:
    """Whether a value is the sum of another one and of what a branch makes of that."""
    op = seen.producers.get(at)
    if op is None or op.name != "add" or len(op.values) != 2:
        return False
    one, other = op.values
    return any(x in back(seen, y, x.__eq__).entries for x, y in ((one, other), (other, one)))


def goes_around(seen: Pass, at: int) -> bool:
    """Whether a value is read by a norm and is added to what comes of it, as a branch is."""
    return any(op.name == "add" for op in seen.readers.get(at, ()))


def idle_step(seen: Pass, at: int) -> str:
    """`relu, which changes nothing here` where the last operation gives its operand back; "nothing" otherwise."""
    op = seen.producers.get(at)
    if op is None or op.name not in IDLE or not op.values:
        return "nothing"
    before, after = (seen.values[each].array for each in (op.values[0], at))
    idle = before is not None and after is not None and np.array_equal(before, after)
    return f"{op.name}, which changes nothing on these data" if idle else "nothing"


def added(region: Region, parted: Parted, seen: Sides) -> Cause | None:
    """B goes on from what A hands to the layer."""
    if region.kind != "between" or not parted.common.known_a(region.a.exit) or rearranged(region, seen):
        return None
    placed = norm_place(region, parted, seen)
    if placed is not None:
        return placed
    start = min(at for at in parted.common.of_a[region.a.exit] if parted.common.same(region.a.exit, at))
    more = steps_between(seen.b, start, region.b.exit)
    if more:
        return Cause("extra", "B applies {b} here, A applies {a}", idle_step(seen.a, region.a.exit), more)
    added_here = addition(seen.b, start, region.b.exit)
    return Cause("extra", added_here + ": A {a}, B {b}", "leaves it out", "computes it") if added_here else None


def rearranged(region: Region, seen: Sides) -> bool:
    """Whether both sides hand on the same numbers in another arrangement: no question of which tensor it is."""
    a, b = seen.a.values[region.a.exit].array, seen.b.values[region.b.exit].array
    if a is None or b is None or a.size != b.size:
        return False
    return bool(np.allclose(np.sort(np.ravel(a)), np.sort(np.ravel(b)), rtol=1e-9, atol=1e-12))


def addition(seen: Pass, start: int, end: int) -> str:
    """`add of the output of x (a.py:3)` where one value becomes another by adding a third; "" otherwise."""
    op = seen.producers.get(end)
    if op is None or op.name != "add" or start not in op.values:
        return ""
    others = [origin(seen, at) for at in op.values if at != start]
    line = f" ({op.line})" if op.line else ""
    return escaped(f"add of {others[0]}{line}") if others else ""


def steps_between(seen: Pass, start: int, end: int) -> str:
    """What is applied to one value to give another, if nothing else comes in: `tanh`, or the layer's name with it."""
    cut = back(seen, end, start.__eq__)
    if set(cut.entries) - {start} or start not in cut.entries or any(op.weights for op in cut.ops):
        return ""
    call = next((c for c in seen.calls if c.kind == "activation" and c.first <= cut.ops[0].at <= c.last), None)
    if call is not None:
        return f"{call.name} ({call.config.get('name', call.class_name)})"
    names = [op.name for op in cut.ops if op.name not in SHAPING]
    return factor_between(seen, start, end) or rotation_between(seen, start, end) or " ".join(dict.fromkeys(names))


def factor_between(seen: Pass, start: int, end: int) -> str:
    """`multiply by 4 (sqrt(16), width)` where one value is a multiple of the other; "" otherwise."""
    before, after = seen.values[start].array, seen.values[end].array
    if before is None or after is None or before.shape != after.shape or not before.size:
        return ""
    ratio = multiple(before, after)
    if ratio in (None, 0.0, 1.0):
        return ""
    return f"{FACTOR}{spell(ratio, [(before.shape[-1], 'width')])}"


def rotation_between(seen: Pass, start: int, end: int) -> str:
    """`rotary positions (pairs of halves, base 1e+04)` where one value is the other one turned; "" otherwise."""
    before, after = seen.values[start].array, seen.values[end].array
    if before is None or after is None or before.size != after.size or after.ndim < 3 or before.dtype.kind != "f":
        return ""
    if before.ndim == 3 and after.ndim == 4:  # (N, T, D) in heads
        before = before.reshape(*before.shape[:2], -1, after.shape[-1])
    if before.ndim != after.ndim:
        return ""
    for middle in itertools.permutations(range(1, before.ndim - 1)):
        turned = before.transpose(0, *middle, before.ndim - 1)
        found = [measure(turned, after, axis) for axis in range(1, after.ndim - 1) if turned.shape == after.shape]
        words = next((each.words() for each in found if each is not None), "")
        if words:
            return f"{ROTARY} ({words})"
    return ""


def origin(seen: Pass, at: int) -> str:
    """Where a value comes from, in a few words."""
    op = seen.producers.get(at)
    if op is None:
        return next((f"the input {name}" for name, value in seen.inputs.items() if value == at), CONSTANT)
    return f"the output of {op.layer or op.name}" + (f" ({op.line})" if op.line else "")
