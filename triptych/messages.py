"""What is wrong with a command line, in one line; with the standard library alone, before the rooms are open."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence

from triptych import tree

BAD_INPUT = 2


def complain(reason: object) -> int:
    """Say it on standard error; the exit status."""
    print(f"error: {reason}", file=sys.stderr)
    return BAD_INPUT


def guarded(main: Callable[..., int]) -> Callable[..., int]:
    """`suites.records.terminal.guarded` for what runs before the rooms are open, and opens them."""

    @functools.wraps(main)
    def run(arguments: Sequence[str] | None = None) -> int:
        tree.open_rooms()
        from suites.records import terminal

        return terminal.guarded(main)(arguments)

    return run
