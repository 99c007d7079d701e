"""Attributes of other people's modules and classes that are something else for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any


@contextlib.contextmanager
def replaced(changes: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
    """Each (place, name, value) holds inside; after it, and after an error, everything is as it was."""
    changes = list(changes)
    # All are looked up before any is replaced: one class may have an attribute from another.
    kept = [(place, name, getattr(place, name)) for place, name, _ in changes]
    try:
        for place, name, value in changes:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in kept:
            setattr(place, name, value)
