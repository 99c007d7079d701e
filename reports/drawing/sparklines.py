"""Small plots for a cell of a table: paths of whole numbers in a fixed box, a few bytes each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

WIDTH, HEIGHT = 200, 24
POINTS = 50  # more can't be told apart
LEAST = 1.1  # a curve that moves less than this is drawn as flat as it is


@dataclass(frozen=True)
class Spark:
    """A curve, the level of each stretch between change points, and where those are: three paths."""

    curve: str
    levels: str
    marks: str


def spark(values: Sequence[float], edges: Sequence[int] = ()) -> Spark:
    """`values` from left to right on a logarithmic axis of their own; `edges` are the first indices of new levels."""
    logs = [math.log(value) for value in values]
    middle = (min(logs) + max(logs)) / 2
    reach = max(max(logs) - middle, math.log(LEAST) / 2)
    down = [round(HEIGHT / 2 - (HEIGHT / 2 - 2) * (log - middle) / reach) for log in logs]
    across = [round(WIDTH * at / max(1, len(values) - 1)) for at in range(len(values))]
    points = list(zip(across, down, strict=True)) if len(values) <= POINTS else _thinned(across, down)
    moves = "".join(f"l{b[0] - a[0]} {b[1] - a[1]}" for a, b in pairwise(points))
    levels, marks = "", ""
    for start, stop in pairwise([0, *edges, len(values)]):
        level = round(median(down[start:stop]))
        levels += f"M{across[start]} {level}H{across[stop - 1]}"
        marks += f"M{across[start]} 0V{HEIGHT}" if start else ""
    return Spark(f"M{points[0][0]} {points[0][1]}{moves}", levels, marks)


def _thinned(across: Sequence[int], down: Sequence[int]) -> list[tuple[int, int]]:
    """Lowest and highest of every stretch, so that no outlier is smoothed away."""
    width = math.ceil(2 * len(down) / POINTS)
    found = []
    for start in range(0, len(down), width):
        some = range(start, min(start + width, len(down)))
        ends = sorted({min(some, key=lambda at: down[at]), max(some, key=lambda at: down[at])})
        found += [(across[at], down[at]) for at in ends]
    return found
