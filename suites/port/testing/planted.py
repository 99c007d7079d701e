"""Bugs planted in ports of five models, one at a time: the folders of `bugs/`, each with a.py, b.py and bugs.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from suites.runner.workers import Arrays

BUGS = Path(__file__).parent / "bugs"
RNG = np.random.default_rng(0)
IDS = RNG.integers(1, 20, (6, 7))
IDS[:3, :2] = 0  # some places are padding
DATA: dict[str, Arrays] = {
    "attention": {"x": IDS, "y": RNG.integers(0, 5, (6, 7))},
    "groups": {"x": RNG.normal(size=(8, 6)), "y": RNG.integers(0, 4, 8)},
    "resnet": {"x": RNG.uniform(0, 255, (5, 14, 14, 3)), "y": RNG.integers(0, 4, 5)},
    "tagger": {"x": RNG.integers(0, 15, (5, 9)), "y": RNG.integers(0, 4, (5, 9))},
    "unet": {"x": RNG.normal(size=(4, 12, 8, 3)), "y": RNG.integers(0, 2, (4, 12, 8, 1)).astype(float)},
}


@dataclass(frozen=True)
class Bug:
    """A line of the port that is wrong, and words that the first cause has to hold; `equal`: it makes no difference."""

    pair: str
    name: str
    old: str
    new: str
    words: tuple[str, ...]
    more: tuple[tuple[str, str], ...] = ()
    equal: bool = False

    def planted(self) -> str:
        """The port with the bug. Raises ValueError where the line is not there exactly once."""
        text = (BUGS / self.pair / "b.py").read_text()
        for old, new in ((self.old, self.new), *self.more):
            if not text.count(old):
                raise ValueError(f"{self.pair}, {self.name}: b.py has no {old!r}")
            text = text.replace(old, new)
        return text


def bugs(pair: str) -> Iterator[Bug]:
    for name, row in tomllib.loads((BUGS / pair / "bugs.toml").read_text()).items():
        more = tuple((old, new) for old, new in row.get("more", []))
        yield Bug(pair, name, row["old"], row["new"], tuple(row["words"]), more, row.get("equal", False))


def named(bug: Bug, words: str) -> bool:
    return all(word in words for word in bug.words)


PAIRS: Mapping[str, Path] = {name: BUGS / name for name in DATA}
