"""One weight that holds those of several layers along its first axis: layers in a scan, the two biases of a GRU."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from suites.port.matching.layers import Layer, weights_of
from suites.port.matching.links import Link
from suites.port.matching.names import likeness, words
from suites.port.recording import Weight

Group = tuple[Weight, ...]
OF_THE_STATE = {"hh", "h2h", "recurrent", "state", "hidden"}  # words of the second bias of a GRU
TWO = 2


def layered(a: Sequence[Layer], b: Sequence[Layer]) -> list[Link]:
    """Links of weights that are rows of one of the other side, which has too many of the one shape."""
    ours, theirs = weights_of(a), weights_of(b)
    found = _rows_of(theirs, ours)
    taken = {one.a.name for one in found}, {one.b.name for one in found}
    rest_a = [weight for weight in ours if weight.name not in taken[0]]
    rest_b = [weight for weight in theirs if weight.name not in taken[1]]
    return found + [one.swapped() for one in _rows_of(rest_a, rest_b)]


def _rows_of(wholes: Sequence[Weight], parts: Sequence[Weight]) -> list[Link]:
    """Links (part, row of a whole), the likest names first."""
    spare = Counter(weight.shape for weight in parts)
    spare.subtract(weight.shape for weight in wholes)
    choices: list[tuple[float, int, Weight, Group]] = []
    for whole in wholes:
        if len(whole.shape) < TWO or spare[whole.shape] >= 0:
            continue
        for group in _groups(parts, whole):
            if spare[group[0].shape] >= len(group):
                names = sum(likeness(part.name, whole.name) for part in group) / len(group)
                choices.append((names, len(choices), whole, group))
    found: list[Link] = []
    for _, _, whole, group in sorted(choices, key=lambda choice: (-choice[0], choice[1])):
        taken = {name for one in found for name in (one.a.name, one.b.name)}
        if taken.isdisjoint([whole.name, *(part.name for part in group)]):
            found += [Link(part, whole, layer_b=row) for row, part in enumerate(group)]
    return found


def _groups(parts: Sequence[Weight], whole: Weight) -> list[Group]:
    """Weights of one name but for its numbers, in their order, as many as the whole has rows."""
    fitting = [part for part in parts if part.shape == whole.shape[1:]]
    if (whole.kind, whole.role) == ("gru", "bias"):
        return _biases(fitting)
    groups: dict[str, list[Weight]] = {}
    for part in fitting:
        if part.role == whole.role:
            groups.setdefault(re.sub(r"\d+", "#", part.name), []).append(part)
    ordered = [tuple(sorted(group, key=_numbers)) for group in groups.values()]
    return [group for group in ordered if len(group) == whole.shape[0]]


def _numbers(weight: Weight) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", weight.name)]


def _biases(parts: Sequence[Weight]) -> list[Group]:
    """The two biases of one layer, that of the state last; or of two layers behind each other, in a cell by hand."""
    layers: Mapping[str, list[Weight]] = {part.layer: [] for part in parts}
    for part in parts:
        layers[part.layer].append(part)
    if len(layers) == len(parts):
        return [tuple(sorted(pair, key=_of_the_state)) for pair in zip(parts[::2], parts[1::2], strict=False)]
    ordered = [tuple(sorted(group, key=_of_the_state)) for group in layers.values()]
    return [group for group in ordered if len(group) == TWO]


def _of_the_state(weight: Weight) -> bool:
    return not OF_THE_STATE.isdisjoint([*words(weight.role), *words(weight.layer)])
