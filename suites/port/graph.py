"""Parts of a pass: the operations between values that both sides have and one that they have not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from suites.port.recording import Call, Op, Pass


@dataclass(frozen=True)
class Slice:
    """The operations of one side that lie between `entries` (values that the other side has too) and `exit`."""

    ops: tuple[Op, ...]
    entries: tuple[int, ...]
    exit: int


@dataclass(frozen=True)
class Region:
    """Where two passes part: A's operations and B's, from what both have to the first thing that they have not.

    `layer` is the pair of layers whose weights are used where the region ends; `kind` is "layer" where its inputs
    agree and its output does not, "between" where the inputs already differ, "through" where one side does before the
    layer what the other one does in it, "output" where no layer follows.
    """

    kind: str
    a: Slice
    b: Slice
    layer: tuple[str, str] | None = None
    calls: tuple[Call | None, Call | None] = (None, None)
    before: Region | None = None  # of "through": only what lies before the layer, where something does on both sides


def back(seen: Pass, exit: int, stop: Callable[[int], bool]) -> Slice:
    """The operations behind a value, up to values where `stop` says so."""
    ops: dict[int, Op] = {}
    entries: dict[int, None] = {}
    waiting = [exit]
    done = set()
    while waiting:
        at = waiting.pop()
        if at in done:
            continue
        done.add(at)
        op = seen.producers.get(at)
        if op is None or (at != exit and stop(at)):
            entries[at] = None
            continue
        ops[op.at] = op
        waiting += op.values
    return Slice(tuple(ops[at] for at in sorted(ops)), tuple(sorted(entries)), exit)


def goes_into(seen: Pass, start: int, end: int) -> bool:
    """Whether a value is computed from another one."""
    return start != end and start in back(seen, end, start.__eq__).entries
