"""Two passes laid on each other by the numbers in them: the first region where they part, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from suites.port.common_values import Common
from suites.port.graph import Region, Slice, back, goes_into
from suites.port.layer_uses import (
    OPEN,
    Use,
    beside,
    cut_alike,
    meets,
    ops_of,
    parallel,
    scattered,
    together,
    uses,
)
from suites.port.recording import Pass


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
            values = {at}
            for op in back(seen, at, lambda value: False).ops:
                values.update(op.outputs, op.values)
            found.append(values)
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
        ops_a, ops_b = ({path: ops_of(each) for path, each in side.items()} for side in (self.uses_a, self.uses_b))
        for path_a, path_b in self.pairs:
            joined = [
                group for group in groups
                if meets(path_a, group[0], ops_a) or meets(path_b, group[1], ops_b)
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
        if not fused and (self._ends_elsewhere(a, out_a, b, out_b) or self._of_some_rows(a, out_a, b, out_b)):
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
            if all(known) and (a.joined or b.joined):
                return None  # what goes into several layers is not what goes into one: neither is wrong yet
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

    def _of_some_rows(self, a: Use, out_a: int, b: Use, out_b: int) -> bool:
        """Whether one side applies a layer to some rows of what the other one has, and both get the same for these."""
        return (
            len(a.inputs) == len(b.inputs) == 1
            and self.common.chosen(out_a, out_b)
            and self.common.chosen(a.inputs[0], b.inputs[0])
        )

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
