"""A pass with the other side's numbers put in at the end of a region, so that what comes later is seen by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from suites.port import precision
from suites.port.captures import is_capture
from suites.port.comparison import Comparison
from suites.port.files import PortError
from suites.port.graph import Region
from suites.port.layouts import IMAGES, distance, fit, like
from suites.port.recording import Pass, Recording

SEQUENCE = 3  # axes: two of them exchanged may be the bug that is looked for


@dataclass
class Both:
    """The passes of both sides, and what has been put in the place of their values so far."""

    a: Pass
    b: Pass
    overrides_a: Mapping[int, np.ndarray] = field(default_factory=dict)
    overrides_b: Mapping[int, np.ndarray] = field(default_factory=dict)


def heal(c: Comparison, mode: str, seen: Both, region: Region) -> Both | None:
    """B's pass with A's numbers at the end of the region, or A's with B's where only A's engine can; None: neither."""
    ours, theirs = seen.a.values[region.a.exit].array, seen.b.values[region.b.exit].array
    if ours is None or theirs is None or ours.size != theirs.size:
        return None
    turned = c.a.turned != c.b.turned
    try:
        if can_heal(c.b):
            overrides = {**seen.overrides_b, region.b.exit: moved(ours, theirs, turned)}
            again, _ = c.side_b.watch(mode, overrides=overrides)
            return Both(seen.a, again, seen.overrides_a, overrides)
        if can_heal(c.a):
            overrides = {**seen.overrides_a, region.a.exit: moved(theirs, ours, turned)}
            again, _ = c.side_a.watch(mode, overrides=overrides)
            return Both(again, seen.b, overrides, seen.overrides_b)
    except PortError:  # the numbers do not fit there
        return None
    return None


def can_heal(side: Recording) -> bool:
    """Whether a value can be put in: a capture has run already, NumPy's operations can only be watched."""
    return side.backend in ("torch", "jax", "tensorflow") and not is_capture(side.path)


def moved(array: np.ndarray, wanted: np.ndarray, turned: bool) -> np.ndarray:
    """`array` in the layout of `wanted`; cut into other axes where its numbers are the same. Raises PortError."""
    found = turned_image(array, wanted)
    found = fit(array, wanted, turned) if found is None else found
    if found.shape == wanted.shape:
        return found
    cut = like(array, wanted, precision.STEP)
    if cut is None:
        raise PortError("no order of axes fits")
    return cut


def turned_image(array: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """An image with as many channels as rows and columns, where the other order of its axes is that of `wanted`."""
    orders = IMAGES.get(array.ndim, ()) if array.shape == wanted.shape else ()
    options = [array.transpose(order) for order in orders]
    options = [option for option in options if option.shape == wanted.shape]
    nearest = min(options, key=lambda option: distance(wanted, option), default=None)
    if nearest is None:
        return None
    allowed = distance(wanted, array) / 2 if array.ndim > SEQUENCE else precision.STEP
    return nearest if distance(wanted, nearest) < allowed else None
