"""Two passes laid on each other by the numbers in them: what both compute, and the region where they part.

Values are the same where their numbers are, whatever the order of axes (`impls.port.recorder.prints`, and the sorted
numbers where they were kept). Nothing here decides whether two models are the same: that is done by what they give. It
only serves to find the place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from suites.port.layouts import aligned
from suites.port.recording import Call, Op, Pass, Value

MASKED = 1e8  # larger numbers are masks: beside them nothing else would count
OPEN = ("module", "custom")  # layers of the user: what follows a weight in them may be anything
# Layers whose output is that of the call: what they do with weights last may be to move their statistics.
WHOLE = ("lstm", "gru", "simple_rnn", "attention", "bidirectional", "batchnorm")


@dataclass
class Common:
    """Which values of B are which of A: every id on one side with those of the other that hold the same numbers.

    The same numbers in another order, such as an image flattened channels first, are not the same value: what goes on
    from it goes wrong. `same` allows any order of axes, and axes that one side has merged.
    """

    a: Pass
    b: Pass
    of_a: Mapping[int, frozenset[int]]
    of_b: Mapping[int, frozenset[int]]
    tolerance: float
    orders: dict[tuple[int, int, bool], bool] = field(default_factory=dict, repr=False)

    def same(self, a: int, b: int) -> bool:
        return b in self.of_a.get(a, ()) and self._aligned(a, b, merged=True)

    def repeated(self, a: int, b: int) -> bool:
        """Whether one holds the numbers of the other once for each example, as tables of positions are handed on."""
        ours, theirs = self.a.values[a].array, self.b.values[b].array
        if ours is None or theirs is None or ours.size == theirs.size or ours.dtype.kind != "f":
            return False
        small, large = sorted((ours, theirs), key=np.size)
        if large.ndim < 2 or large[0].size != small.size or small.shape[-1:] != large.shape[-1:]:
            return False
        return bool(np.allclose(large, small.reshape(large.shape[1:]), rtol=1e-9, atol=1e-12))

    def known_a(self, at: int) -> bool:
        """Whether B has a value of A, with the same axes in some order."""
        return any(self._aligned(at, other, merged=False) for other in self.of_a.get(at, ()))

    def known_b(self, at: int) -> bool:
        """Whether A has a value of B, with the same axes in some order."""
        return any(self._aligned(other, at, merged=False) for other in self.of_b.get(at, ()))

    def _aligned(self, a: int, b: int, merged: bool) -> bool:
        key = a, b, merged
        if key not in self.orders:
            self.orders[key] = self._compare(a, b, merged)
        return self.orders[key]

    def _compare(self, a: int, b: int, merged: bool) -> bool:
        ours, theirs = self.a.values[a].array, self.b.values[b].array
        if ours is None or theirs is None:
            return True
        return aligned(ours, theirs, max(self.tolerance, 1e-12), merged)


def common(a: Pass, b: Pass, tolerance: float) -> Common:
    """All pairs of values with the same numbers, up to `tolerance` of their norm."""
    of_a: dict[int, set[int]] = defaultdict(set)
    of_b: dict[int, set[int]] = defaultdict(set)
    for size, ours in _by_size(a.values).items():
        theirs = _by_size(b.values).get(size, [])
        if not theirs:
            continue
        prints_b = np.stack([value.print for value in theirs if value.print is not None])
        for value in ours:
            for at in np.flatnonzero(_near(value.print, prints_b, tolerance)):
                if _agree(value, theirs[at], tolerance):
                    of_a[value.id].add(theirs[at].id)
                    of_b[theirs[at].id].add(value.id)
    sides = [{at: frozenset(ids) for at, ids in side.items()} for side in (of_a, of_b)]
    return Common(a, b, sides[0], sides[1], tolerance)


def _by_size(values: Sequence[Value]) -> dict[int, list[Value]]:
    found: dict[int, list[Value]] = defaultdict(list)
    for value in values:
        if value.print is not None:
            found[value.size].append(value)
    return found


def _near(ours: np.ndarray | None, theirs: np.ndarray, tolerance: float) -> np.ndarray:
    """Which rows of prints are `ours`. The first of a print is a size, the others are relative to it."""
    assert ours is not None
    allowed = np.full(len(ours), 8 * tolerance)
    allowed[0] = tolerance * abs(ours[0])
    with np.errstate(invalid="ignore"):
        return np.asarray(np.all(np.abs(theirs - ours) <= allowed, axis=1))


def _agree(a: Value, b: Value, tolerance: float) -> bool:
    """Whether the sorted numbers agree, where they were kept."""
    if a.array is None or b.array is None:
        return True
    ours, theirs = (np.sort(array.ravel().astype(np.float64)) for array in (a.array, b.array))
    finite = np.abs(ours) < MASKED
    if not np.array_equal(finite, np.abs(theirs) < MASKED):
        return False
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(ours[finite]))
        return float(np.linalg.norm(ours[finite] - theirs[finite])) <= tolerance * norm


@dataclass(frozen=True)
class Slice:
    """The operations of one side that lie between `entries` (values that the other side has too) and `exit`."""

    ops: tuple[Op, ...]
    entries: tuple[int, ...]
    exit: int


@dataclass(frozen=True)
class Region:
    """Where two passes part: A's operations and B's, from what both have to the first thing that they have not.

    `layer` is the pair of layers whose weights are used where the region ends; `kind` is "layer" where its inputs
    agree and its output does not, "between" where the inputs already differ, "through" where one side does before the
    layer what the other one does in it, "output" where no layer follows.
    """

    kind: str
    a: Slice
    b: Slice
    layer: tuple[str, str] | None = None
    calls: tuple[Call | None, Call | None] = (None, None)
    before: Region | None = None  # of "through": only what lies before the layer, where something does on both sides


def back(seen: Pass, exit: int, stop: Callable[[int], bool]) -> Slice:
    """The operations behind a value, up to values where `stop` says so."""
    ops: dict[int, Op] = {}
    entries: dict[int, None] = {}
    waiting = [exit]
    done = set()
    while waiting:
        at = waiting.pop()
        if at in done:
            continue
        done.add(at)
        op = seen.producers.get(at)
        if op is None or (at != exit and stop(at)):
            entries[at] = None
            continue
        ops[op.at] = op
        waiting += op.values
    return Slice(tuple(ops[at] for at in sorted(ops)), tuple(sorted(entries)), exit)


def goes_into(seen: Pass, start: int, end: int) -> bool:
    """Whether a value is computed from another one."""
    return start != end and start in back(seen, end, start.__eq__).entries


@dataclass
class Use:
    """The operations of a side that use a layer's weights in one call: what goes in, and what comes out.

    `outputs`: of a recurrent layer there may be several, the sequence and its last state.
    """

    path: str
    ops: list[Op] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: tuple[int, ...] = ()
    call: Call | None = None


def uses(seen: Pass, owner: Mapping[str, str]) -> dict[str, list[Use]]:
    """Each use of each layer. What is computed from a layer's weights alone belongs to the layer."""
    found: dict[str, list[Use]] = defaultdict(list)
    folded: dict[int, str] = {}
    made: dict[str, set[int]] = defaultdict(set)
    fed = set(seen.inputs.values())
    for op in seen.ops:
        paths = {owner[name] for name in op.weights if name in owner}
        paths |= {folded[at] for at in op.values if at in folded}
        moving = [at for at in op.values if at in fed]
        if moving:
            fed.update(op.outputs)
        for path in paths:
            if not moving:
                folded.update((at, path) for at in op.outputs)
                continue
            own = made[path]
            call = _call_at(seen, op, path)
            if not found[path] or not (any(at in own for at in moving) or _goes_on(found[path][-1], call)):
                found[path].append(Use(path, call=call))
            use = found[path][-1]
            use.ops.append(op)
            use.inputs += [at for at in moving if at not in own and at not in use.inputs]
            use.outputs = read_later(seen, op.outputs)
            own.update(op.outputs)
        if moving and not paths:
            _follow(seen, op, moving, found, made)
    for each in found.values():
        for use in each:
            _as_call(seen, use, owner, folded)
    return found


def read_later(seen: Pass, outputs: Sequence[int]) -> tuple[int, ...]:
    """Of what an operation or a layer gives, that on which an output of the model depends; all of it where none does.

    The last state of a scan, a counter of steps and a statistic that is moved are given as well, and read by nobody.
    """
    return tuple(at for at in outputs if at in seen.needed) or tuple(outputs)


def _goes_on(use: Use, call: Call | None) -> bool:
    """Whether an operation of a call belongs to a use: a layer that is WHOLE is used once in each of its calls."""
    return call is not None and call is use.call and call.kind in WHOLE


def _follow(
    seen: Pass, op: Op, moving: list[int], found: Mapping[str, list[Use]], made: Mapping[str, set[int]]
) -> None:
    """An operation that goes on with what a layer made, inside its call and of a known kind, is the layer's."""
    for path, own in made.items():
        use = found[path][-1] if found[path] else None
        if use is None or use.call is None or use.call.kind in OPEN or not any(at in own for at in moving):
            continue
        if use.call.first <= op.at <= use.call.last and op.layer == use.call.name:
            use.ops.append(op)
            use.outputs = read_later(seen, op.outputs)
            own.update(op.outputs)


def _call_at(seen: Pass, op: Op, path: str) -> Call | None:
    """The call of the layer at `path` that an operation is in."""
    around = [call for call in seen.calls if call.first <= op.at <= call.last and call.name in (path, _parent(path))]
    return around[0] if around else None


def _parent(path: str) -> str:
    """The module that holds a part of its own, such as `attention` of `attention.query`, `bi` of `bi_l0_reverse`."""
    for mark in ("_l0", "_l1", "_l2", "_l3"):
        if mark in path:
            return path.partition(mark)[0]
    return path.rpartition("/" if "/" in path else ".")[0]


def _as_call(seen: Pass, use: Use, owner: Mapping[str, str], folded: Mapping[int, str]) -> None:
    """A layer of a known kind gets what its call gets; one of those that are WHOLE gives what its call gives.

    Of others the output is that of their last operation on weights: an activation behind it is another thing. A kernel
    that was transposed first (`folded`: what is made of weights alone) is nothing that it gets.
    """
    call = use.call
    if call is None or not call.inputs:
        return
    own = call.name == use.path and {owner.get(name) for name in call.weights} == {use.path}
    if call.kind in OPEN and not own:
        return
    use.inputs = [at for at in dict.fromkeys(call.inputs) if at not in folded]
    if (call.kind in WHOLE or call.kind in OPEN) and call.outputs:
        use.outputs = read_later(seen, call.outputs)


def scattered(use: Use, wrong: Sequence[int]) -> bool:
    """Whether operations that only share an owner are no layer: several weights that read several other values."""
    return use.call is None and len(wrong) > 1 and len({name for op in use.ops for name in op.weights}) > 1


def _ops(each: Sequence[Use]) -> set[int]:
    return {op.at for use in each for op in use.ops}


def _meets(path: str, group: Sequence[str], ops: Mapping[str, set[int]]) -> bool:
    own = ops.get(path, set())
    return path in group or any(own & ops.get(other, set()) for other in group)


def parallel(each: Sequence[Use]) -> bool:
    """Whether layers read the same, as a query, a key and a value do."""
    return len({tuple(use.inputs) for use in each}) == 1 and len({at for use in each for at in use.inputs}) == 1


def beside(each: Sequence[Use]) -> Use:
    """Layers that read the same, as one; what a fused kernel gives can't be laid beside what its parts give."""
    paths = " and ".join(dict.fromkeys(use.path for use in each))
    return Use(paths, [op for use in each for op in use.ops], list(each[0].inputs))


def together(seen: Pass, each: Sequence[Use]) -> Use:
    """Layers that the other side has as one, as one: from what goes into the call around them all to what it gives."""
    each = sorted(each, key=lambda use: use.ops[-1].at)
    paths = " and ".join(dict.fromkeys(use.path for use in each))
    ops = [op for use in each for op in use.ops]
    call = around(seen, ops)
    if call is not None and call.inputs and call.outputs:
        return Use(call.name, ops, list(dict.fromkeys(call.inputs)), read_later(seen, call.outputs), call)
    made = {at for op in ops for at in op.outputs}
    inputs = [at for use in each for at in use.inputs if at not in made and not _behind(seen, at, made)]
    return Use(paths, ops, list(dict.fromkeys(inputs)), each[-1].outputs)


def around(seen: Pass, ops: Sequence[Op]) -> Call | None:
    """The innermost call that all of some operations are inside of."""
    first, last = min(op.at for op in ops), max(op.at for op in ops)
    shared = set(ops[0].scope).intersection(*(op.scope for op in ops))
    inside = [call for call in seen.calls if call.name in shared and call.first <= first and last <= call.last]
    return min(inside, key=lambda call: call.last - call.first, default=None)


def _behind(seen: Pass, at: int, made: set[int]) -> bool:
    """Whether a value is computed from one of `made`."""
    part = back(seen, at, made.__contains__)
    return bool(made.intersection(part.entries))


def cut_alike(a: Pass, out_a: int, b: Pass, out_b: int) -> tuple[int, int]:
    """The outputs of a layer of both sides; where one gives more, what its user cuts out of it at once."""
    sizes = a.values[out_a].size, b.values[out_b].size
    if sizes[0] > sizes[1]:
        return cut_to(a, out_a, sizes[1]), out_b
    return out_a, cut_to(b, out_b, sizes[0])


def cut_to(seen: Pass, at: int, size: int) -> int:
    """The value of this size that slices make of another; the other where they make none."""
    now = at
    while seen.values[now].size > size:
        cuts = [op for op in seen.readers.get(now, ()) if op.name == "slice" and op.outputs]
        if len(cuts) != 1:
            return at
        now = cuts[0].outputs[0]
    return now if seen.values[now].size == size else at


class Parted:
    """Finds the first region where two passes part."""

    def __init__(
        self, a: Pass, b: Pass, found: Common, owners: tuple[Mapping[str, str], Mapping[str, str]],
        pairs: Sequence[tuple[str, str]],
    ):  # fmt: skip
        self.a = a
        self.b = b
        self.common = found
        self.uses_a = uses(a, owners[0])
        self.uses_b = uses(b, owners[1])
        self.pairs = pairs

    def first(self, outputs: tuple[int, int]) -> Region:
        """The region at the first layer, in A's order, that does not get or give the same; else at the output."""
        behind = self._reached(outputs)
        for use_a, use_b in self._in_order():
            if not behind[0].intersection([*use_a.outputs, *use_a.inputs]):
                continue
            region = self._at(use_a, use_b)
            if region is not None:
                return region
        return Region("output", self._slice_a(outputs[0]), self._slice_b(outputs[1]))

    def _reached(self, outputs: tuple[int, int]) -> tuple[set[int], set[int]]:
        """Every value that an output depends on."""
        found = []
        for seen, at in ((self.a, outputs[0]), (self.b, outputs[1])):
            part = back(seen, at, lambda value: False)
            found.append({value for op in part.ops for value in (*op.outputs, *op.values)} | {at})
        return found[0], found[1]

    def _in_order(self) -> list[tuple[Use, Use]]:
        """The uses of layers that are pairs, in the order of A."""
        found = []
        for paths_a, paths_b in self._groups():
            ours = [use for path in paths_a for use in self.uses_a.get(path, [])]
            theirs = [use for path in paths_b for use in self.uses_b.get(path, [])]
            if len(paths_a) == len(paths_b) == 1 and len(ours) == len(theirs):
                found += self._paired(ours, theirs)
            elif ours and theirs and parallel(ours) and parallel(theirs):
                found.append(
                    (beside(ours), beside(theirs))
                )  # a fused kernel: what comes out can't be laid side by side
            elif ours and theirs:
                found.append((together(self.a, ours), together(self.b, theirs)))
        return sorted(found, key=lambda pair: pair[0].ops[0].at)

    def _paired(self, ours: list[Use], theirs: list[Use]) -> list[tuple[Use, Use]]:
        """Uses of one layer: those that get the same belong together, whichever comes first; the others in order."""
        left, found = list(theirs), []
        for use in ours if len(ours) > 1 else ():
            partner = next((other for other in left if self._gets_the_same(use, other)), None)
            if partner is not None:
                left = [other for other in left if other is not partner]
                found.append((use, partner))
        done = [use for use, _ in found]
        rest = [use for use in ours if not any(use is other for other in done)]
        return [*found, *zip(rest, left, strict=True)]

    def _gets_the_same(self, a: Use, b: Use) -> bool:
        wrong = [at for at in a.inputs if not any(self.common.same(at, other) for other in b.inputs)]
        return not wrong and bool(a.inputs) and len(a.inputs) == len(b.inputs)

    def _groups(self) -> list[tuple[list[str], list[str]]]:
        """Pairs of layers; those that share a layer on one side, or an operation, are one group."""
        groups: list[tuple[list[str], list[str]]] = []
        ops_a, ops_b = ({path: _ops(each) for path, each in side.items()} for side in (self.uses_a, self.uses_b))
        for path_a, path_b in self.pairs:
            joined = [
                group for group in groups
                if _meets(path_a, group[0], ops_a) or _meets(path_b, group[1], ops_b)
            ]  # fmt: skip
            merged = ([path_a], [path_b])
            for group in joined:
                groups.remove(group)
                merged = (group[0] + merged[0], group[1] + merged[1])
            groups.append((list(dict.fromkeys(merged[0])), list(dict.fromkeys(merged[1]))))
        return groups

    def _at(self, a: Use, b: Use) -> Region | None:
        """The region that ends at a pair of layers; None where nothing parts there."""
        fused = not (a.outputs and b.outputs)
        out_a, out_b = (-1, -1) if fused else self._ends(a, b)
        if not fused and self._agree(out_a, out_b):
            return None
        if not fused and self._ends_elsewhere(a, out_a, b, out_b):
            return None
        layer, calls = (a.path, b.path), (a.call, b.call)
        wrong_a = [at for at in a.inputs if not any(self.common.same(at, other) for other in b.inputs)]
        wrong_b = [at for at in b.inputs if not any(self.common.same(other, at) for other in a.inputs)]
        if fused and not (wrong_a and wrong_b):
            return None
        if scattered(a, wrong_a) or scattered(b, wrong_b):
            return None
        if not wrong_a and not wrong_b:
            return Region("layer", self._slice_a(out_a), self._slice_b(out_b), layer, calls)
        before = None
        if wrong_a and wrong_b:
            before = Region("between", self._slice_a(wrong_a[0]), self._slice_b(wrong_b[0]), layer, calls)
            known = self.common.known_a(wrong_a[0]), self.common.known_b(wrong_b[0])
            if fused or known[0] == known[1]:
                return before
        return Region("through", self._slice_a(out_a), self._slice_b(out_b), layer, calls, before)

    def _ends(self, a: Use, b: Use) -> tuple[int, int]:
        """The outputs by which a pair of layers is judged: the first of A that no output of B of its size is."""
        alike = []
        for ours in a.outputs:
            options = [theirs for theirs in b.outputs if self.a.values[ours].size == self.b.values[theirs].size]
            partner = next((theirs for theirs in options if self._agree(ours, theirs)), None)
            if options and partner is None:
                return ours, options[0]
            if partner is not None:
                alike.append((ours, partner))
        return alike[0] if alike else cut_alike(self.a, a.outputs[0], self.b, b.outputs[0])

    def _agree(self, out_a: int, out_b: int) -> bool:
        return self.common.same(out_a, out_b) or self.common.repeated(out_a, out_b)

    def _ends_elsewhere(self, a: Use, out_a: int, b: Use, out_b: int) -> bool:
        """Whether a layer of the user's goes on on one side only: what it gives there, the other side has behind it."""
        if not any(use.call is None or use.call.kind in OPEN for use in (a, b)):
            return False
        behind_a = [at for at in self.common.of_b.get(out_b, ()) if self.common.same(at, out_b)]
        behind_b = [at for at in self.common.of_a.get(out_a, ()) if self.common.same(out_a, at)]
        return any(goes_into(self.a, out_a, at) for at in behind_a) or any(
            goes_into(self.b, out_b, at) for at in behind_b
        )

    def _slice_a(self, exit: int) -> Slice:
        return back(self.a, exit, self.common.known_a)

    def _slice_b(self, exit: int) -> Slice:
        return back(self.b, exit, self.common.known_b)
