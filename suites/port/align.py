"""Which tap of A is which of B: by the weights they hold, and between those by kind, in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from suites.equivalence.compare import normwise

PASSIVE = ("dropout", "pad", "module")  # nothing in them is compared on its own
NEARER = 1000  # so many times another order of axes has to be nearer than the one at hand, where both fit
LAYOUTS = ((0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 1), (1, 0, 2))


@dataclass(frozen=True)
class Tap:
    """One call of a layer, an activation or a function, in one mode."""

    at: int
    name: str
    kind: str
    config: Mapping[str, Any]
    weights: tuple[str, ...]
    inside: tuple[str, ...]

    @staticmethod
    def of(records: Iterable[Mapping[str, Any]]) -> list[Tap]:
        return [
            Tap(at, r["name"], r["kind"], r["config"], tuple(r["weights"]), tuple(r["inside"]))
            for at, r in enumerate(records)
        ]

    @property
    def title(self) -> str:
        return f"{self.name} ({self.config['name']})" if self.kind == "activation" else self.name


@dataclass(frozen=True)
class Match:
    """A tap of A and the one of B that has to compute the same; what neither has a partner for lies before it."""

    a: Tap
    b: Tap
    extra_a: tuple[Tap, ...] = ()
    extra_b: tuple[Tap, ...] = ()


def align(a: Sequence[Tap], b: Sequence[Tap], names: Mapping[str, str]) -> list[Match]:
    """Matches in A's order. `names` gives B's name of each of A's parameters."""
    anchors = _anchors(a, b, names)
    a = _outside(a, {x.name for x, _ in anchors})
    b = _outside(b, {y.name for _, y in anchors})
    matches, last_a, last_b = list[Match](), -1, -1
    for x, y in anchors:
        matches += _between(a, b, (last_a, x), (last_b, y))
        last_a, last_b = x.at, y.at
    return matches


def _anchors(a: Sequence[Tap], b: Sequence[Tap], names: Mapping[str, str]) -> list[tuple[Tap, Tap]]:
    """Pairs that hold the same weights, the innermost ones, call by call; the data before and the output behind."""
    found, used = list[tuple[Tap, Tap]](), set[int]()
    for tap in (tap for tap in a if tap.weights):
        wanted = {names[name] for name in tap.weights if name in names}
        other = next((t for t in b if t.weights and set(t.weights) == wanted and t.at not in used), None)
        nested = any(x.name in tap.inside or tap.name in x.inside for x, _ in found)
        if other is not None and not nested:
            used.add(other.at)
            found.append((tap, other))
    return [(a[0], b[0]), *found, (a[-1], b[-1])]


def _outside(taps: Sequence[Tap], anchored: set[str]) -> list[Tap]:
    """The taps that are not a part of an anchored one."""
    return [tap for tap in taps if not anchored & (set(tap.inside) - {tap.name})]


def _between(a: Sequence[Tap], b: Sequence[Tap], ends_a: tuple[int, Tap], ends_b: tuple[int, Tap]) -> list[Match]:
    """What lies before an anchor and after the one before it, matched by kind; then the anchor itself."""
    ours = [tap for tap in a if ends_a[0] < tap.at < ends_a[1].at and tap.kind not in PASSIVE]
    theirs = [tap for tap in b if ends_b[0] < tap.at < ends_b[1].at and tap.kind not in PASSIVE]
    free_a, free_b = ([tap for tap in side if not tap.weights] for side in (ours, theirs))
    pairs = [*longest(free_a, free_b), (ends_a[1], ends_b[1])]
    matches, extra_a, extra_b = [], ours, theirs
    for x, y in pairs:
        before_a, before_b = ([t for t in side if t.at < end.at] for side, end in ((extra_a, x), (extra_b, y)))
        matches.append(Match(x, y, tuple(before_a), tuple(before_b)))
        extra_a, extra_b = ([t for t in s if t.at > end.at] for s, end in ((extra_a, x), (extra_b, y)))
    return matches


def longest(a: Sequence[Tap], b: Sequence[Tap]) -> list[tuple[Tap, Tap]]:
    """The longest common subsequence of kinds; of equally long ones that with the most equal activations."""
    best: dict[tuple[int, int], tuple[int, list[tuple[Tap, Tap]]]] = {}
    for i in range(len(a), -1, -1):
        for j in range(len(b), -1, -1):
            options: list[tuple[int, list[tuple[Tap, Tap]]]] = [(0, [])]
            if i < len(a) and j < len(b) and a[i].kind == b[j].kind:
                score, rest = best[i + 1, j + 1]
                same = a[i].config.get("name") == b[j].config.get("name")
                options.append((score + 2 + same, [(a[i], b[j]), *rest]))
            options += [best[i + 1, j]] if i < len(a) else []
            options += [best[i, j + 1]] if j < len(b) else []
            best[i, j] = max(options, key=lambda option: option[0])
    return best[0, 0][1]


def like(array: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """`array` in the layout in which it is nearest to `wanted`: as it is, another order of axes, or the last step."""
    options = [array]
    options += [array.transpose(axes) for axes in LAYOUTS if len(axes) == array.ndim]
    if array.ndim == wanted.ndim + 1:
        options += [array[:, -1], array[-1]]
    if array.ndim == wanted.ndim + 2:  # (N, 1, 1, C)
        options += [array[:, 0, 0], array[:, :, 0, 0]] if 1 in array.shape[1:] else []
    fitting = [option for option in options if option.shape == wanted.shape]
    return nearest(fitting, wanted) if fitting else array


def nearest(options: Sequence[np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """The first option, unless another one is far nearer to `wanted`."""
    best = min(options, key=lambda option: _distance(option, wanted))
    return best if NEARER * _distance(best, wanted) < _distance(options[0], wanted) else options[0]


def _distance(array: np.ndarray, wanted: np.ndarray) -> float:
    distance = normwise(array, wanted)
    return distance if np.isfinite(distance) else float("inf")
