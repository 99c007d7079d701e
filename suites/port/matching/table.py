"""A mapping file: `"A name" = "B name"`, and `"A name" = [H, W, C]` under [rows]."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from suites.port.files import PortError
from suites.port.matching.links import Link, link
from suites.port.recording import Weight

Rows = tuple[int, int, int]


@dataclass(frozen=True)
class Table:
    """B's name of each of A's weights, and kernels behind a flatten whose rows are (H, W, C) in A only."""

    names: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, Rows] = field(default_factory=dict)

    def links(self, a: Sequence[Weight], b: Sequence[Weight]) -> list[Link]:
        """What the file says. Raises PortError for a name that nobody has."""
        ours, theirs = {w.name: w for w in a}, {w.name: w for w in b}
        for name in self.names:
            _known(name, ours, "A")
        for name in self.names.values():
            _known(name, theirs, "B")
        if len(set(self.names.values())) < len(self.names):
            raise PortError("the mapping file names a parameter of B twice")
        return [_linked(ours[name], theirs[other]) for name, other in self.names.items()]

    def with_rows(self, links: Sequence[Link]) -> list[Link]:
        sizes = {one.a.name: one.a.shape[0] for one in links if one.a.shape}
        for name, extents in self.rows.items():
            if math.prod(extents) != sizes.get(name):
                given = f"the mapping file gives {name!r} rows {list(extents)}"
                raise PortError(f"{given}: it has {sizes.get(name, 'no')} rows")
        return [replace(one, rows=self.rows.get(one.a.name)) for one in links]


def _known(name: str, weights: Mapping[str, Weight], side: str) -> None:
    if name not in weights:
        raise PortError(f"the mapping file names {name!r}, {side} has {', '.join(weights)}")


def _linked(a: Weight, b: Weight) -> Link:
    found = link(a, b)
    if found is None:
        raise PortError(
            f"the mapping file gives {a.name} {a.shape} to {b.name} {b.shape}: these shapes can't hold the same numbers"
        )
    return found


def mapping(path: str | None) -> Table:
    """The mapping file at `path`; None: an empty one. Raises PortError."""
    if path is None:
        return Table()
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PortError(f"{path}: can't be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PortError(f"{path}: is no TOML: {error}") from error
    rows = table.pop("rows", {})
    for name, value in table.items():
        if not isinstance(value, str):
            raise PortError(f'{path}: {name!r}: write "A name" = "B name"')
    for name, value in rows.items():
        if not isinstance(value, list) or len(value) != 3 or not all(isinstance(n, int) for n in value):
            raise PortError(f"{path}: [rows] {name!r}: write the height, width and channels, [4, 4, 8]")
    return Table(table, {name: (value[0], value[1], value[2]) for name, value in rows.items()})
