"""Geometry of the plots, in percent of the plot's width and height, so that text keeps its size at every width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

LABEL_GAP = 9.0  # percent of the height: less, and two direct labels would overlap


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis over positive values, widened to whole ticks."""

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def at(self, value: float) -> float:
        """Percent along the axis."""
        return _percent(value, self.low, self.high)


@dataclass(frozen=True)
class Line:
    """One curve: its direct label, its colour's name, a value for each epoch."""

    label: str
    panel: str
    values: list[float]


@dataclass(frozen=True)
class Drawn:
    """A curve as drawn: `points` as SVG wants them, its end, and where its label goes."""

    line: Line
    points: str
    end: tuple[float, float]
    label_at: float


@dataclass(frozen=True)
class Lines:
    axis: Axis
    epochs: int
    drawn: list[Drawn]


def _percent(value: float, low: float, high: float) -> float:
    return round(100 * (math.log(value) - math.log(low)) / (math.log(high) - math.log(low)), 2)


def axis(values: Sequence[float], include: float = 1.0) -> Axis:
    """The logarithmic axis that shows `values` and `include`, with ticks at 1, 2 and 5 or at powers of ten."""
    shown = [value for value in [*values, include] if 0 < value < math.inf]
    low, high = min(shown) / 1.05, max(shown) * 1.05
    steps = (1, 2, 5) if high / low < 300 else (1,)
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    candidates = [step * 10.0**exponent for exponent in exponents for step in steps]
    start = max((tick for tick in candidates if tick <= low), default=low)
    stop = min((tick for tick in candidates if tick >= high), default=high)
    ticks = tuple(Tick(_percent(tick, start, stop), f"{tick:g}") for tick in candidates if start <= tick <= stop)
    return Axis(start, stop, ticks)


def lines(found: Sequence[Line]) -> Lines | None:
    """Curves over epochs on one logarithmic axis; None where no value can be drawn on it."""
    finite = [value for line in found for value in line.values if 0 < value < math.inf]
    if not finite:
        return None
    scale, epochs = axis(finite, include=finite[0]), max(len(line.values) for line in found)
    paths = [_path(line, scale, epochs) for line in found]
    drawn = [(line, path) for line, path in zip(found, paths, strict=True) if path]
    places = _spread_out([path[-1][1] for _, path in drawn])
    made = [
        Drawn(line, " ".join(f"{x:g},{y:g}" for x, y in path), path[-1], place)
        for (line, path), place in zip(drawn, places, strict=True)
    ]
    return Lines(scale, epochs, made)


def _path(line: Line, scale: Axis, epochs: int) -> list[tuple[float, float]]:
    """Points of a curve, downwards from the top; it ends before the first value that can't be drawn."""
    points = []
    for epoch, value in enumerate(line.values):
        if not 0 < value < math.inf:
            break
        points.append((round(100 * epoch / max(1, epochs - 1), 2), round(100 - scale.at(value), 2)))
    return points


def _spread_out(heights: Sequence[float]) -> list[float]:
    """Places for labels near `heights`, at least LABEL_GAP apart and inside the plot."""
    places = list(heights)
    order = sorted(range(len(places)), key=lambda index: places[index])
    for above, below in pairwise(order):
        places[below] = max(places[below], places[above] + LABEL_GAP)
    excess = max([0.0, *(place - 97 for place in places)])
    return [round(max(3.0, place - excess), 2) for place in places]
