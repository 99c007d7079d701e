"""The catalogue of known differences: what a released library computes otherwise than the specs or the formulas say.

Each is one row of `known_differences.toml`, by a name. Whoever judges refers to the row: `impls.model_differences` says
what follows for a model, heritage and upgrades what is explained by it, campaigns what it adds to a bound, the port
checker what no port can avoid, and `suites/equivalence/test_upstream.py` runs the smallest program that shows it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_suffix(".toml")
DIFFERENCE, CONVENTION, REFUSAL = "known difference", "convention", "refusal"  # documented; not computed, and said
KINDS = (DIFFERENCE, CONVENTION, REFUSAL)


@dataclass(frozen=True)
class Difference:
    """One row: what is computed otherwise, by which release, on which engines and where in its source.

    `programs` are the smallest ones that show it, below `suites/equivalence` and `suites/heritage/programs`. One of
    `upstream` prints a number that differs on `shown_on` (by default on all `engines`), and agrees on `agrees`, by more
    than `rounding` unit roundoffs of `unit`. `because`: the row of which this one follows.
    """

    name: str
    cause: str
    kind: str = DIFFERENCE
    released: str = ""  # "" where it holds of all
    engines: tuple[str, ...] = ()  # on which it was seen; on others it may be so too
    agrees: tuple[str, ...] = ()
    shown_on: tuple[str, ...] = ()
    device: str = "cpu"
    dtype: str = ""  # "" where it is seen in all
    where: str = ""  # files and functions, as installed
    brief: str = ""  # the cause where a table has a line for it
    port: str = ""  # what a comparison of ports calls it, which no port can avoid
    because: str = ""
    says: str = ""  # part of the error
    links: tuple[str, ...] = ()  # where upstream speaks of it
    programs: tuple[str, ...] = ()
    rounding: float = 0.0
    unit: str = ""
    by_hand: bool = False  # CI leaves the program out: TensorFlow takes seconds to load, once for each
    cells: tuple[Mapping[str, Any], ...] = ()  # where heritage sees it: see `suites.heritage.causes`
    campaign: tuple[Mapping[str, Any], ...] = ()  # which operations and layers have it: see `suites.campaign.known`

    @property
    def link(self) -> str:
        """Where upstream speaks of it first, "" where it does nowhere."""
        return self.links[0] if self.links else ""

    @property
    def text(self) -> str:
        """The cause with its release and its place."""
        return ", ".join(part for part in (self.released, self.where) if part) + f": {self.cause}"

    def programs_of(self, suite: str) -> tuple[str, ...]:
        """The names of its programs in one suite: "upstream" or "heritage"."""
        return tuple(name.partition("/")[2] for name in self.programs if name.startswith(f"{suite}/"))


def read(path: Path = TABLE) -> dict[str, Difference]:
    """The rows by their names. Raises TypeError for a key that no row has."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: Difference(name, **_frozen(row)) for name, row in rows.items()}


def _frozen(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


DIFFERENCES = read()
