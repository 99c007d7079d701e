"""Rows of options in which any two of different subjects stand together."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

Row: TypeAlias = dict[str, str]  # a level of each subject
Pair: TypeAlias = tuple[tuple[str, str], ...]


def pairs(row: Row) -> set[Pair]:
    """Two subjects with their levels, in every way."""
    return set(itertools.combinations(sorted(row.items()), 2))


def drawn(levels: dict[str, list[str]], possible: Callable[[Row], bool], tries: int = 60) -> list[Row]:
    """Rows of drawn levels, those with most new pairs first, until `tries` more bring none; always the same."""
    rng = np.random.default_rng(1)
    covered: set[Pair] = set()
    found: list[Row] = []
    while True:
        news = []
        for _ in range(tries):
            row = {name: str(rng.choice(each)) for name, each in levels.items()}
            if possible(row):
                news.append((len(pairs(row) - covered), row))
        gain, best = max(news, key=lambda new: new[0])
        if not gain:
            return found
        found.append(best)
        covered |= pairs(best)
