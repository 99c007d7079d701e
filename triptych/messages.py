"""What is wrong with a command line, in one line; with the standard library alone, before the rooms are open."""

from __future__ import annotations

import sys

BAD_INPUT = 2


def complain(reason: object) -> int:
    """Say it on standard error; the exit status."""
    print(f"error: {reason}", file=sys.stderr)
    return BAD_INPUT
