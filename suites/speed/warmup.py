"""After how many calls is code warm? Found in the times of the first calls, not assumed.

The calls are cut in two where the cut explains most: each part is described by the median of its logarithms, and the
cost of a cut is the sum of the absolute distances from these (Killick and others, 2012, call a sum like it the cost of
a segmentation). A cut counts if it lowers the cost by more than chance does, and if the part behind it is faster. The
part behind is cut again until no cut counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

FEWEST = 3  # calls behind a cut: fewer can't be told from a lucky one
GAIN = 7.0  # times the mean distance behind the cut that it has to lower the cost by: one outlier lowers it by 3 to 5


def warm_after(seconds: Sequence[float]) -> int | None:
    """The number of calls after which the times are steady; None where they change till the end."""
    logs = [math.log(max(value, 1e-9)) for value in seconds]
    start = 0
    while cut := _cut(logs[start:]):
        start += cut
    return start if len(logs) - start > FEWEST or not start else None


def _cut(logs: Sequence[float]) -> int:
    """The number of calls before the best cut that counts, or 0."""
    whole, best, place = _cost(logs), 0.0, 0
    for at in range(1, len(logs) - FEWEST + 1):
        gain = whole - _cost(logs[:at]) - _cost(logs[at:])
        if gain > best:
            best, place = gain, at
    if not place or median(logs[:place]) <= median(logs[place:]):
        return 0
    spread = _cost(logs[place:]) / (len(logs) - place)
    return place if best > GAIN * max(spread, math.log(1.02)) else 0


def _cost(logs: Sequence[float]) -> float:
    middle = median(logs)
    return sum(abs(value - middle) for value in logs)
