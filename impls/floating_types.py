"""The floating types that are compared, by their names: unit roundoffs and ranges, once for everybody who judges."""

from __future__ import annotations

from typing import NamedTuple


class Floating(NamedTuple):
    """A floating type: its unit roundoff; of its numbers above zero the largest, the smallest normal, the smallest."""

    unit: float
    largest: float
    tiny: float
    smallest: float


FLOATING = {
    "float64": Floating(2.0**-53, (2 - 2.0**-52) * 2.0**1023, 2.0**-1022, 2.0**-1074),
    "float32": Floating(2.0**-24, (2 - 2.0**-23) * 2.0**127, 2.0**-126, 2.0**-149),
    "bfloat16": Floating(2.0**-8, (2 - 2.0**-7) * 2.0**127, 2.0**-126, 2.0**-133),
    "float16": Floating(2.0**-11, 65504.0, 2.0**-14, 2.0**-24),
}
UNIT = {name: each.unit for name, each in FLOATING.items()}
