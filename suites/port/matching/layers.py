"""The layers of a side: their weights, and how they hang together, read off the graph of a pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from suites.port.recording import Op, Pass, Weight

SHAPING = ("reshape", "identity", "cast", "squeeze", "expand_dims")
ROUNDS = 8  # of refinement: so many layers away from a layer are looked at


@dataclass
class Layer:
    """The weights of one owner; `up` and `down` are the layers before and behind it, `order` that of their use."""

    path: str
    weights: list[Weight]
    order: int
    up: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    labels: list[int] = field(default_factory=list)
    reads: frozenset[int] = frozenset()  # the values that its weights first meet
    first: Mapping[str, int] = field(default_factory=dict)  # the first operation that reads each weight
    uses: int = 1  # how often the pass reads each of its weights
    class_name: str = ""
    unread: frozenset[str] = frozenset()  # weights that no output of the pass depends on

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """What all layers of the same kind and width have in common: the extents of their weights."""
        return tuple(sorted(extents(weight) for weight in self.weights))

    @property
    def kind(self) -> str:
        return self.weights[0].kind


def extents(weight: Weight) -> tuple[int, ...]:
    """A shape whatever the order of its axes; of a GRU's bias only the last axis counts."""
    shape = weight.shape[-1:] if (weight.kind, weight.role) == ("gru", "bias") else weight.shape
    return tuple(sorted(n for n in shape if n != 1))


def layers_of(weights: Iterable[Weight], seen: Pass) -> list[Layer]:
    """The layers in the order of their use."""
    first = first_uses(seen.ops)
    needed = weights_needed(seen)
    reads = Counter(name for op in seen.ops for name in set(op.weights))
    found: dict[str, Layer] = {}
    for weight in weights:
        order = first.get(weight.name, len(seen.ops))
        if weight.layer not in found:
            found[weight.layer] = Layer(weight.layer, [], order, first=first)
        found[weight.layer].weights.append(weight)
        found[weight.layer].order = min(found[weight.layer].order, order)
    owner = {weight.name: weight.layer for weight in weights}
    for path, values in first_reads(seen, owner).items():
        found[path].reads = values
    for call in seen.calls:
        if call.name in found:
            found[call.name].class_name = call.class_name
    for above, below in edges(seen, owner):
        found[above].down.add(below)
        found[below].up.add(above)
    for layer in found.values():
        layer.uses = min((reads[w.name] for w in layer.weights), default=0)
        layer.unread = frozenset(w.name for w in layer.weights if seen.ops and w.name not in needed)
    return sorted(found.values(), key=lambda layer: layer.order)


def first_uses(ops: Iterable[Op]) -> dict[str, int]:
    """The first operation that reads each weight."""
    found: dict[str, int] = {}
    for op in ops:
        for name in op.weights:
            found.setdefault(name, op.at)
    return found


def weights_of(layers: Sequence[Layer]) -> list[Weight]:
    return [weight for layer in layers for weight in layer.weights]


def weights_needed(seen: Pass) -> set[str]:
    """The weights that an output depends on; all that are read where an output has no known origin."""
    traced = bool(seen.outputs) and all(at is not None for at in seen.outputs.values())
    found: set[str] = set()
    for op in seen.ops:
        if not traced or seen.needed.intersection(op.outputs):
            found.update(op.weights)
    return found


def first_reads(seen: Pass, owner: dict[str, str]) -> dict[str, frozenset[int]]:
    """The values that the first operation on each layer's weights, or on what is made of them alone, reads."""
    found: dict[str, frozenset[int]] = {}
    folded: dict[int, set[str]] = {}  # the layers whose weights alone a value is made of
    for op in seen.ops:
        paths = {owner[name] for name in op.weights if name in owner}
        paths |= {path for at in op.values for path in folded.get(at, ())}
        moving = [at for at in op.values if at not in folded]
        if not moving and paths:
            folded.update((at, paths) for at in op.outputs)
        for path in paths if moving else ():
            found.setdefault(path, frozenset(source(seen, at) for at in moving))
    return found


def source(seen: Pass, at: int) -> int:
    """The value that a value is another shape of."""
    op = seen.producers.get(at)
    while op is not None and op.name in SHAPING and len(op.values) == 1:
        at = op.values[0]
        op = seen.producers.get(at)
    return at


def edges(seen: Pass, owner: dict[str, str]) -> set[tuple[str, str]]:
    """(layer, the next layer that its output goes to), through whatever operations lie between.

    What is computed from a layer's weights alone (the scale of a BatchNorm) counts as a weight of it.
    """
    found: set[tuple[str, str]] = set()
    sources: dict[int, frozenset[str]] = {}  # the layers that a value comes from directly
    folded: dict[int, frozenset[str]] = {}  # the layers whose weights alone a value is made of
    inputs = set(seen.inputs.values())
    for op in seen.ops:
        own = {owner[name] for name in op.weights if name in owner}
        moving: set[str] = set()
        fed = False
        for at in op.values:
            if at in folded:
                own |= folded[at]
            elif at in sources or at in inputs:
                moving |= sources.get(at, frozenset())
                fed = True
        found |= {(above, layer) for above in moving for layer in own if above != layer}
        for at in op.outputs:
            if fed:
                sources[at] = frozenset(own) or frozenset(moving)
            elif own:
                folded[at] = frozenset(own)
    return found


def label(layers: Sequence[Sequence[Layer]]) -> None:
    """Weisfeiler and Leman (1968): labels that tell layers apart by their surroundings, the same on all sides."""
    numbers: dict[object, int] = {}

    def number(key: object) -> int:
        return numbers.setdefault(key, len(numbers))

    for side in layers:
        for layer in side:
            layer.labels = [number(layer.shapes)]
    for _ in range(ROUNDS):
        for side in layers:
            by_path = {layer.path: layer for layer in side}
            fresh = []
            for layer in side:
                around = []
                for paths in (layer.up, layer.down):
                    around.append(tuple(sorted(by_path[path].labels[-1] for path in paths)))
                fresh.append(number((layer.labels[-1], *around)))
            for layer, new in zip(side, fresh, strict=True):
                layer.labels.append(new)


def agreement(a: Layer, b: Layer) -> float:
    """0 to 1: how far the surroundings of two layers are the same."""
    same = 0
    for ours, theirs in zip(a.labels, b.labels, strict=True):
        if ours != theirs:
            break
        same += 1
    return same / len(a.labels)
