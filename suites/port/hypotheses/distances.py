"""What only the distance of a key from its query decides: rows of a table, slopes that are added, a window."""

from __future__ import annotations

import itertools
import math

import numpy as np

Array = np.ndarray
FARTHEST = (128, 16, 20, 32, 64, 256, 8, 10, 12)  # distances behind which T5 has one bucket
CLOSE = 1e-9  # of the largest number
SHOWN = 3  # distances to both sides
FEWEST = 3  # places


def by_distance(array: Array) -> Array | None:
    """What a square (T, T) has at each distance -(T-1) ... T-1 of the column from the row; None where that varies."""
    if array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) < FEWEST:
        return None
    count = len(array)
    found = np.concatenate([array[::-1, 0], array[0, 1:]])
    whole = found[np.arange(count) - np.arange(count)[:, None] + count - 1]
    return found if np.array_equal(whole, array) else None


def buckets(distance: Array, count: int, both: bool, farthest: int) -> Array:
    """T5's rows for distances of the key from the query (Raffel et al. 2020, as in Mesh TensorFlow)."""
    rows = np.zeros(distance.shape, int)
    if both:
        count //= 2
        rows += (distance > 0) * count
        distance = np.abs(distance)
    else:
        distance = np.maximum(-distance, 0)
    exact = count // 2
    share = np.log(np.maximum(distance, 1) / exact) / math.log(farthest / exact)
    large = np.minimum(exact + (share * (count - exact)).astype(int), count - 1)
    return rows + np.where(distance < exact, distance, large)


def rows_in_words(at: Array, count: int) -> str:
    """How a table of `count` rows is read by (T, T) places; "" where it is not by distance."""
    found = by_distance(at)
    if found is None:
        return ""
    distance = np.arange(len(found)) - len(found) // 2
    return bucketed(found, distance, count) or clipped(found, distance) or listed(found)


def bucketed(found: Array, distance: Array, count: int) -> str:
    for both, sign, farthest in itertools.product((True, False), (1, -1), FARTHEST):
        if farthest <= count // (4 if both else 2) or count < 4:
            continue
        if np.array_equal(buckets(sign * distance, count, both, farthest), found):
            ways = "for both directions" if both else "for the past alone"
            turned = "" if sign > 0 else ", of queries from keys"
            return f"T5's buckets {ways}{turned}, up to {farthest} places"
    return ""


def clipped(found: Array, distance: Array) -> str:
    """Row c for the same place, and one more or less for each place farther, up to some distance."""
    middle = int(found[len(found) // 2])
    for sign in (1, -1):
        moved = sign * (found - middle)
        low, high = int(moved.min()), int(moved.max())
        if low < high and np.array_equal(np.clip(distance, low, high), moved):
            way = "key less query" if sign > 0 else "query less key"
            ends = "" if high >= distance.max() and -low >= distance.max() else f", clipped at {low} and {high}"
            return f"row {middle} plus {way}{ends}"
    return ""


def listed(found: Array) -> str:
    middle = len(found) // 2
    rows = ", ".join(str(int(each)) for each in found[middle - SHOWN if middle >= SHOWN else 0 : middle + SHOWN + 1])
    return f"rows {rows} for distances -{min(SHOWN, middle)} to {min(SHOWN, middle)}"


def slopes(bias: Array, attended: Array) -> Array | None:
    """The slope of each head where what is added to its scores grows with the distance, as in ALiBi; else None.

    What a row adds to all of its scores changes no softmax: a number for each query is free.
    """
    if bias.ndim < 3 or bias.shape[-1] != bias.shape[-2] or bias.shape[-1] < FEWEST:
        return None
    heads = bias.reshape(-1, *bias.shape[-3:])[0]
    kept = np.broadcast_to(attended, bias.shape).reshape(-1, *bias.shape[-3:])[0]
    pairs = kept[..., 1:] & kept[..., :-1]
    steps = np.diff(heads, axis=-1)
    found = np.array([float(np.median(s[p])) if p.any() else 0.0 for s, p in zip(steps, pairs, strict=True)])
    scale = float(np.abs(found).max())
    apart = np.abs(np.where(pairs, steps - found[:, None, None], 0.0))
    return found if scale and float(apart.max()) <= CLOSE * scale * bias.shape[-1] else None


def window_of(mask: Array) -> str:
    """A square mask that only the distance decides, in words: `the last 3 places, itself among them`; "" for others."""
    flat = mask.reshape(-1, *mask.shape[-2:])
    found = by_distance(flat[0]) if mask.shape[-1] == mask.shape[-2] else None
    if found is None or not (flat == flat[0]).all() or not found.any():
        return ""
    distance = np.arange(len(found)) - len(found) // 2
    kept = distance[found.astype(bool)]
    low, high = int(kept.min()), int(kept.max())
    every = int(np.gcd.reduce(kept)) if len(kept) > 1 else 1
    if high == 0 and low == 0:
        return "attends to itself alone"
    if not np.array_equal(kept, np.arange(low, high + 1)):
        return f"attends to every {every}. place" if every > 1 else ""
    if high == 0:
        return f"attends to the last {1 - low} places, itself among them (a causal window)"
    if high == -low:
        return f"attends to {high} places to both sides (a window)"
    return f"attends to {-low} places before and {high} behind (a window)"
