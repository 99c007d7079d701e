"""Where two models that compute the same are differentiated otherwise: the last value in which gradients differ.

Both sides give the gradient of the loss in every value. Behind the last one in which they differ lies what a user gave
a gradient of its own (a reversal, a straight-through estimator, a clip), stopped, or differentiates another way. What
it makes of the gradient that reaches it is measured on each side, and told as a rule where it is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from suites.port.comparison import Comparison
from suites.port.files import PortError
from suites.port.findings import Finding
from suites.port.fits import multiple, near
from suites.port.hypotheses.backward_rules import NOTHING, rule_of
from suites.port.hypotheses.causes import escaped, short
from suites.port.hypotheses.question import Cause
from suites.port.layouts import fit, orders
from suites.port.parted import Parted
from suites.port.recording import Pass
from suites.port.side import Side
from suites.port.structure import origin

Slopes = dict[int, np.ndarray]
MOST = 24  # values that are asked


@dataclass
class Flow:
    """One side: its pass, and the gradient of the loss in each value."""

    side: Side
    seen: Pass
    slopes: Slopes

    def at(self, value: int) -> np.ndarray:
        """Zeros where nothing flows back."""
        found = self.slopes.get(value)
        return np.zeros(self.seen.values[value].shape) if found is None else found

    def pull(self, mode: str, behind: int, value: int) -> np.ndarray:
        """What comes back to a value through another one behind it."""
        found = self.side.slopes(mode, {behind: self.at(behind)}).get(value)
        return np.zeros(self.seen.values[value].shape) if found is None else found


@dataclass
class Flows:
    """Both sides laid on each other."""

    a: Flow
    b: Flow
    parted: Parted
    mode: str

    def turned(self, a: int, b: int, array: np.ndarray) -> np.ndarray | None:
        """An array of B's value in the axes of A's; None where the values can't be laid on each other."""
        ours, theirs = self.a.seen.values[a].array, self.b.seen.values[b].array
        if ours is None or theirs is None or ours.dtype.kind != "f":
            return None
        for order in orders(theirs, ours.shape):
            if near(ours, theirs.transpose(order)):
                return array.transpose(order)
        return array.reshape(ours.shape) if near(ours.ravel(), theirs.ravel()) else None

    def partners(self, a: int) -> list[int]:
        return [b for b in sorted(self.parted.common.of_a.get(a, ()), reverse=True) if self.parted.common.same(a, b)]

    def agree(self, a: int, b: int) -> bool:
        theirs = self.turned(a, b, self.b.at(b))
        return theirs is not None and near(self.a.at(a), theirs)

    def settled(self, a: int) -> bool:
        return any(self.agree(a, b) for b in self.partners(a))

    def apart(self) -> list[tuple[int, int]]:
        """The values that have other gradients, the last of A first: of those with the same numbers the first ones."""
        found: dict[tuple[int, int], None] = {}
        for a in sorted(self.parted.common.of_a, reverse=True):
            partners = [b for b in self.partners(a) if self.turned(a, b, self.b.at(b)) is not None]
            if not partners or a not in self.a.seen.needed:
                continue
            first = min(self.alike(partners[-1])), partners[-1]
            if not self.agree(*first):
                found[first] = None
        return list(found)

    def alike(self, b: int) -> Iterator[int]:
        yield from (a for a in self.parted.common.of_b.get(b, ()) if self.parted.common.same(a, b))

    def behind(self, a: int, b: int) -> list[tuple[int, int]]:
        """The next values after this one that gradients come back from, and agree on both sides; or it itself."""
        found, waiting, done = self.ends(a, b), [a], {a}
        while waiting:
            for op in self.a.seen.readers.get(waiting.pop(), ()):
                for at in op.outputs:
                    if at in done:
                        continue
                    done.add(at)
                    ends = self.ends(at, b)
                    found += ends
                    if not ends:
                        waiting.append(at)
        return sorted(found)

    def ends(self, at: int, b: int) -> list[tuple[int, int]]:
        """A value with one of B that has the same numbers and the same gradient, which is not `b`."""
        if not self.a.at(at).any():
            return []
        return [(at, other) for other in self.partners(at) if other != b and self.agree(at, other)][:1]


def flow_finding(c: Comparison) -> Finding | None:
    """What is differentiated otherwise, where it is found and has a rule on both sides."""
    mode = c.modes[-1]
    try:
        told = of_output(c)
        if told is not None:
            return told
        ours, theirs = (Flow(side, side.recording.passes[mode], side.slopes(mode)) for side in (c.side_a, c.side_b))
        return of_place(Flows(ours, theirs, c.parted(mode), mode))
    except PortError:  # a side can't be followed back
        return None


def of_output(c: Comparison) -> Finding | None:
    """An output in which the losses have other gradients although they are the same number."""
    ours, theirs = c.side_a.loss_slopes(), c.side_b.loss_slopes()
    turned = c.a.turned != c.b.turned
    told = []
    for path_a, path_b in c.pairs:
        if path_a not in ours or path_b not in theirs:
            continue
        mine, other = ours[path_a], fit(theirs[path_b], ours[path_a], turned)
        if near(mine, other) or mine.shape != other.shape:
            continue
        ratio = ratio_of(mine, other)
        if ratio is None:
            return None
        told.append(f"{escaped(path_a)} {ratio}")
    if not told:
        return None
    what = "gradient of the loss in what the model gives (a term is stopped, or has another weight)"
    return Finding("backward", "loss", "loss", Cause("loss_gradient", f"{what}: B's in {', in '.join(told)}"))


def ratio_of(a: np.ndarray, b: np.ndarray) -> str | None:
    """B's gradient by A's in words; None where it is not one number."""
    if not b.any():
        return "is none"
    if not a.any():
        return "is there, A has none"
    ratio = multiple(a, b)
    return f"is {short(ratio)} times A's" if ratio is not None else None


def of_place(flows: Flows) -> Finding | None:
    """The last place with a rule on both sides; an earlier one, where there the other side lets nothing through."""
    found: Finding | None = None
    for a, b in flows.apart()[:MOST]:
        fresh = of_value(flows, a, b)
        if fresh is not None and (found is None or stops(found) == stops(fresh)[::-1] != stops(fresh)):
            found = fresh
    return found


def stops(found: Finding) -> tuple[bool, bool]:
    assert found.cause is not None
    return found.cause.a == NOTHING, found.cause.b == NOTHING


def of_value(flows: Flows, a: int, b: int) -> Finding | None:
    branches = (of_branch(flows, (a, b), end) for end in flows.behind(a, b))
    return next((found for found in branches if found is not None), None)


def of_branch(flows: Flows, start: tuple[int, int], end: tuple[int, int]) -> Finding | None:
    """What comes back from one value to another on both sides; None where it is the same, or has no rule."""
    (a, b), (end_a, end_b) = start, end
    ours = flows.a.pull(flows.mode, end_a, a)
    theirs = flows.turned(a, b, flows.b.pull(flows.mode, end_b, b))
    if theirs is None or near(ours, theirs):
        return None
    x, s = flows.a.seen.values[a].array, flows.a.at(end_a)
    assert x is not None
    words = [rule_of(each, s, x) for each in (ours, theirs)]
    if words[0] is None or words[1] is None or words[0] == words[1]:
        return None
    ops = [side.seen.producers.get(at) for side, at in ((flows.a, end_a), (flows.b, end_b))]
    lines = [op.line if op is not None else "" for op in ops]
    template = f"gradient that comes back to {escaped(origin(flows.a.seen, a))}: A {{a}}, B {{b}}"
    places = [places_of(side.seen, at) for side, at in ((flows.a, a), (flows.b, b))]
    cause = Cause("backward_rule", template, escaped(words[0]), escaped(words[1]))
    return Finding("backward", places[0], places[1], cause, None, *lines)


def places_of(seen: Pass, at: int) -> str:
    op = seen.producers.get(at)
    return (op.layer or op.name) if op is not None else "the inputs"
