"""Which output of A is which of B."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

Pairs = list[tuple[str, str]]


def pair(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> tuple[Pairs, Pairs]:
    """Pairs of paths, and what is left over as (side, path): by name where names are shared, else in their order.

    Where that pairs outputs of other sizes, and each size is there once, sizes say which is which; else a word that
    the names of one pair alone have, such as `encoder`.

    Outputs with names (`out.logits`) that the other side lacks are no difference: a model of a library gives more than
    is asked for. `left over` holds those of tuples and lists, which every user of the model unpacks.
    """
    names_a, names_b = _names(a), _names(b)
    shared = [(names_a[name], names_b[name]) for name in names_a if name in names_b]
    if not shared:
        shared = by_size(a, b) or by_words(a, b) or list(zip(a, b, strict=False))
    used_a, used_b = {one for one, _ in shared}, {other for _, other in shared}
    rest = [("A", path) for path in a if path not in used_a] + [("B", path) for path in b if path not in used_b]
    return shared, [(side, path) for side, path in rest if path.endswith("]") and '"' not in path]


def by_size(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> Pairs:
    """Outputs of the same size, in A's order; none where sizes don't tell them apart."""
    sizes_a = {array.size: path for path, array in a.items()}
    sizes_b = {array.size: path for path, array in b.items()}
    if len(sizes_a) < len(a) or len(sizes_b) < len(b) or sizes_a.keys() != sizes_b.keys():
        return []
    return [(path, sizes_b[size]) for size, path in sizes_a.items()]


def by_words(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> Pairs:
    """Outputs whose names share a word that no other has, then the others of one size in order; none without a word."""
    words_a, words_b = _words(a), _words(b)
    found: dict[str, str] = {}
    for path, own in words_a.items():
        alike = [other for other, theirs in words_b.items() if own & theirs and a[path].shape == b[other].shape]
        if len(alike) == 1 and alike[0] not in found.values():
            found[path] = alike[0]
    for path in a if found else ():
        left = (other for other in b if other not in found.values() and a[path].shape == b[other].shape)
        other = None if path in found else next(left, None)
        if other is not None:
            found[path] = other
    return [(path, found[path]) for path in a if path in found]


def _words(paths: Mapping[str, np.ndarray]) -> dict[str, set[str]]:
    """The words of the name of each output that no other of its side has."""
    found = {path: set(re.findall("[a-z]+", name.lower())) for name, path in _names(paths).items()}
    every = [word for words in found.values() for word in words]
    return {path: {word for word in words if every.count(word) == 1} for path, words in found.items()}


def _names(paths: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Outputs that have a name: `logits` of `out.logits` and of `out["logits"]`."""
    found = {}
    for path in paths:
        if "." in path or '"' in path:
            found[path.replace('out["', "").replace("out.", "").rstrip('"]')] = path
    return found
