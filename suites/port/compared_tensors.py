"""The tensors of training that both sides have, and the first that differs."""

from __future__ import annotations

from suites.port import precision
from suites.port.bounds import Difference
from suites.port.comparison import Comparison
from suites.port.matching.links import Link


def first(c: Comparison, prefix: str, single: bool) -> Difference | None:
    """The first difference of a group; `single`: that float32 inside an engine can't explain."""
    for found in c.differences:
        if found.tensor.startswith(prefix) and not (single and precision.explained(found)):
            return found
    return None


def trained(c: Comparison, group: str) -> list[Link]:
    """The links whose tensors both sides have in this group, whole and not as sketches."""
    found = []
    for link in c.links:
        ours, theirs = c.a.arrays.get(f"{group}/{link.a.name}"), c.b.arrays.get(f"{group}/{link.b.name}")
        if ours is not None and theirs is not None and ours.size == link.a.size and theirs.size == link.b.size:
            found.append(link)
    return found
