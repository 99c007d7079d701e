"""What was run and on what: the workers, with what all of them share said once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports import formatting
from suites.records.run import Service

ASPECTS = ("dtype", "threads", "backend", "device", "mode", "implementation")  # what a flag may follow from
UNSET = "not set"
MANY = 6

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Workers:
    """Every worker; `flags`, `versions` and `python` are those that all have, `python` "" where they differ.

    `rows` are the workers with the rest of their versions, `differing` the rest of the flags, with each value and who
    has it.
    """

    flags: Pairs
    versions: Pairs
    python: str
    rows: list[tuple[Service, Pairs]]
    differing: list[tuple[str, Pairs]]


def workers(services: Sequence[Service]) -> Workers:
    """Services in their order, what they share taken out."""
    flags, versions = _shared([it.flags for it in services]), _shared([it.versions for it in services])
    rest = [(it, sorted(it.versions.items() - versions.items())) for it in services]
    others = sorted({name for it in services for name in it.flags} - set(flags))
    differing = [(name, _holders(name, services)) for name in others]
    pythons = {it.python for it in services}
    python = pythons.pop() if len(pythons) == 1 else ""
    return Workers(sorted(flags.items()), sorted(versions.items()), python, rest, differing)


def _shared(found: Sequence[dict[str, str]]) -> dict[str, str]:
    """The items that all have."""
    if not found:
        return {}
    items = set(found[0].items()).intersection(*[each.items() for each in found[1:]])
    return {name: value for name, value in found[0].items() if (name, value) in items}


def _holders(name: str, services: Sequence[Service]) -> Pairs:
    """Each value of the flag `name` and who has it: named by the one aspect it follows from, else way by way."""
    for aspect in ASPECTS:
        found: dict[str, set[str]] = {}
        for it in services:
            found.setdefault(str(getattr(it, aspect)), set()).add(_value(name, it))
        if all(len(values) == 1 for values in found.values()):
            return _grouped({_owner(aspect, owner): values.pop() for owner, values in found.items()})
    return _grouped(
        {
            f"{formatting.configuration(it.implementation, it.backend)} ({it.mode}, {it.dtype})": _value(name, it)
            for it in services
        }
    )


def _value(name: str, service: Service) -> str:
    return service.flags.get(name, UNSET)


def _owner(aspect: str, owner: str) -> str:
    return formatting.count(int(owner), "thread") if aspect == "threads" else owner


def _grouped(owners: dict[str, str]) -> Pairs:
    """Each value and its owners, the most common one last, of which only "all others" is told if there are many."""
    values = sorted(dict.fromkeys(owners.values()), key=list(owners.values()).count)
    named = {value: [owner for owner in owners if owners[owner] == value] for value in values}
    return [(value, formatting.listed(who) if len(who) <= MANY else "all others") for value, who in named.items()]
