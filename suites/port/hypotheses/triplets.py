"""Triplet losses of three outputs: an anchor, what should be near it, and what should be far (Schroff et al. 2015)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from suites.port.hypotheses.causes import nice
from suites.port.hypotheses.formulas import Array

THREE = 3
DIGITS = 3  # of a margin that a person writes
CLOSE = 1e-6  # relative: as near a margin is measured, before it is tried with those digits


def distance(offset: float) -> Callable[[Array, Array], Array]:
    """Euclidean, with torch's 1e-6 in each difference or without."""
    return lambda a, b: np.sqrt(((a - b + offset) ** 2).sum(-1))


def cosine(a: Array, b: Array) -> Array:
    return np.asarray(1 - (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1)))


DISTANCES: Mapping[str, Callable[[Array, Array], Array]] = {
    "distances (1e-6 in each difference)": distance(1e-6),
    "distances": distance(0.0),
    "squared distances": lambda a, b: ((a - b) ** 2).sum(-1),
    "cosine distances": cosine,
}


def triplets(outputs: Mapping[str, Array], value: float, limit: float) -> Iterator[tuple[str, str, str]]:
    """(distance, margin, reduction) of each triplet loss that has this value; margins are measured."""
    arrays = list(outputs.values())
    if len(arrays) == 1 and arrays[0].ndim > 1 and len(arrays[0]) % THREE == 0:  # of one batch that holds all three
        (z,) = arrays
        third = len(z) // THREE
        yield from _triplets([z[n::THREE] for n in range(THREE)], value, limit)
        yield from _triplets([z[n * third : (n + 1) * third] for n in range(THREE)], value, limit)
        return
    yield from _triplets(arrays, value, limit)


def _triplets(arrays: Sequence[Array], value: float, limit: float) -> Iterator[tuple[str, str, str]]:
    if len(arrays) != THREE or len({array.shape for array in arrays}) > 1 or arrays[0].ndim < 2 or value <= 0:
        return
    anchor, near, far = arrays
    for name, function in DISTANCES.items():
        apart = np.ravel(function(anchor, near) - function(anchor, far))
        for reduction, total in (("mean", value * apart.size), ("sum", value)):
            measured = margin(apart, total)
            written = nice(measured, DIGITS)
            found = float(np.maximum(apart + written, 0).sum()) * value / total
            if math.isclose(measured, written, rel_tol=CLOSE) and abs(found - value) <= limit:
                yield f"triplet loss of {name}", f"margin {written:g}", reduction


def margin(apart: Array, total: float) -> float:
    """m for which the sum of max(apart + m, 0) is `total`: the largest `count` of them are above 0."""
    largest = np.sort(apart)[::-1]
    for count in range(1, len(largest) + 1):
        found = (total - float(largest[:count].sum())) / count
        if count == len(largest) or largest[count] + found <= 0:
            return found
    return math.nan
