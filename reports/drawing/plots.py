"""Geometry of the plots, in percent of the plot's width and height, so that text keeps its size at every width."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

MOST_TICKS = 6
STEPS = (
    ((1, 2, 5), 1),
    ((1, 3), 1),
    ((1,), 1),
    ((1,), 2),
    ((1,), 4),
)  # leading digits and powers of ten, fine to coarse

LETTERS = "abcdef"  # of the custom properties that hold the places of an axis's ticks

LABEL_GAP = 16.0  # percent of the height: less, and two direct labels of two lines would overlap


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

    def grid(self) -> str:
        """Its ticks as custom properties, in thousandths of the axis, for the style sheet to draw."""
        return ";".join(f"--{letter}:{10 * tick.at:.0f}" for letter, tick in zip(LETTERS, self.ticks, strict=False))

    def track(self, value: float, low: float, high: float, lower: float = math.nan, upper: float = math.nan) -> str:
        """A dot, the bar of its interval and, where they are known, the quartiles, as custom properties."""
        ends = {"m": value, "l": low, "h": high, "q": lower, "r": upper}
        places = {name: 10 * self.at(max(end, self.low)) for name, end in ends.items() if not math.isnan(end)}
        return ";".join(f"--{name}:{place:.0f}" for name, place in places.items())


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


def axis(values: Sequence[float], include: float = 1.0, most: int = MOST_TICKS) -> Axis:
    """The logarithmic axis that shows `values` and `include`, with whole ticks, at `most` so many."""
    shown = [value for value in [*values, include] if 0 < value < math.inf]
    low, high = min(shown) / 1.05, max(shown) * 1.05
    start, stop, marks = min((_marks(low, high, *step) for step in STEPS), key=lambda found: len(found[2]) > most)
    return Axis(start, stop, tuple(Tick(_percent(mark, start, stop), f"{mark:g}") for mark in marks))


def _marks(low: float, high: float, leading: tuple[int, ...], stride: int) -> tuple[float, float, list[float]]:
    """The whole ticks from below `low` to above `high`: a `leading` digit times every `stride`th power of ten."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    exponents = range(first - first % stride - stride, last + 2 * stride, stride)
    candidates = [digit * 10.0**exponent for exponent in exponents for digit in leading]
    start = max(mark for mark in candidates if mark <= low)
    stop = min(mark for mark in candidates if mark >= high)
    return start, stop, [mark for mark in candidates if start <= mark <= stop]


def lines(found: Sequence[Line]) -> Lines | None:
    """Curves over epochs on one logarithmic axis; None where there is one epoch only, or nothing to draw."""
    if max((len(line.values) for line in found), default=0) < 2:
        return None
    finite = [value for line in found for value in line.values if 0 < value < math.inf]
    if not finite:
        return None
    scale, epochs = axis(finite, include=finite[0], most=2 * MOST_TICKS), max(len(line.values) for line in found)
    paths = [_path(line, scale, epochs) for line in found]
    drawn = [(line, path) for line, path in zip(found, paths, strict=True) if path]
    if not drawn:
        return None
    places = _spread_out([path[-1][1] for _, path in drawn])
    made = []
    for (line, path), place in zip(drawn, places, strict=True):
        points = " ".join(f"{x:g},{y:g}" for x, y in path)
        made.append(Drawn(line, points, path[-1], place))
    return Lines(scale, epochs, made)


def _path(line: Line, scale: Axis, epochs: int) -> list[tuple[float, float]]:
    """Points of a curve, downwards from the top; it ends before the first value that can't be drawn."""
    points = []
    for epoch, value in enumerate(line.values):
        if not 0 < value < math.inf:
            break
        points.append((round(100 * epoch / (epochs - 1), 2), round(100 - scale.at(value), 2)))
    return points


def _spread_out(heights: Sequence[float]) -> list[float]:
    """Places for labels near `heights`, LABEL_GAP apart as far as there is room, and inside the plot."""
    places, gap = list(heights), min(LABEL_GAP, 94 / len(heights))
    order = sorted(range(len(places)), key=lambda index: places[index])
    for above, below in pairwise(order):
        places[below] = max(places[below], places[above] + gap)
    excess = max([0.0, *(place - 97 for place in places)])
    return [round(max(3.0, place - excess), 2) for place in places]


@dataclass(frozen=True)
class Curve:
    """A law over the batch, and the points that it was fitted to: (batch, median, lower, upper quartile), seconds."""

    label: str
    panel: str
    points: list[tuple[int, float, float, float]]
    seconds: Callable[[float], float]


@dataclass(frozen=True)
class Fitted:
    """A curve as drawn: the law's points as SVG wants them, a path of the measured ones, and where its label goes."""

    curve: Curve
    points: str
    measured: str
    end: tuple[float, float]
    label_at: float


@dataclass(frozen=True)
class Batches:
    """Seconds a call over the batch, both logarithmic."""

    across: Axis
    up: Axis
    drawn: list[Fitted]


STATIONS = 12  # of a drawn law: it bends once


def batches(curves: Sequence[Curve]) -> Batches:
    """Laws on common axes; every curve has points."""
    points = [point for curve in curves for point in curve.points]
    sizes = [batch for batch, *_ in points]
    across = axis([min(sizes) * 1.05, max(sizes)], include=max(sizes))  # from the smallest batch on, not from below it
    stations = [min(sizes) * (max(sizes) / min(sizes)) ** (step / STATIONS) for step in range(STATIONS + 1)]
    times = [time for _, *quartiles in points for time in quartiles]
    of_laws = [curve.seconds(at) for curve in curves for at in stations]
    up = axis([*times, *of_laws], include=times[0])
    paths = []
    for curve in curves:
        paths.append([(across.at(at), round(100 - up.at(curve.seconds(at)), 2)) for at in stations])
    places = _spread_out([path[-1][1] for path in paths])
    drawn = []
    for curve, path, place in zip(curves, paths, places, strict=True):
        line = " ".join(f"{x:g},{y:g}" for x, y in path)
        drawn.append(Fitted(curve, line, _measured(curve, across, up), path[-1], place))
    return Batches(across, up, drawn)


def _measured(curve: Curve, across: Axis, up: Axis) -> str:
    """A stroke from quartile to quartile at each point."""
    return "".join(
        f"M{across.at(batch):g} {100 - up.at(low):g}V{100 - up.at(high):g}" for batch, _, low, high in curve.points
    )
