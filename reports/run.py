"""What was run and on what: the workers, with what all of them share said once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suites.records import Service


@dataclass(frozen=True)
class Workers:
    """Every worker; `flags` and `versions` are those that all have, the rest of each is beside it."""

    flags: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    rows: list[tuple[Service, list[tuple[str, str]], list[tuple[str, str]]]]


def workers(services: Sequence[Service]) -> Workers:
    """Services in their order, shared flags and versions taken out."""
    flags, versions = _shared([it.flags for it in services]), _shared([it.versions for it in services])
    rows = [(it, _rest(it.versions, versions), _rest(it.flags, flags)) for it in services]
    return Workers(sorted(flags.items()), sorted(versions.items()), rows)


def _shared(found: Sequence[dict[str, str]]) -> dict[str, str]:
    pairs = set.intersection(*(set(each.items()) for each in found)) if len(found) > 1 else set()
    return dict(pairs)


def _rest(own: dict[str, str], shared: dict[str, str]) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in own.items() if name not in shared)
