"""What a command tells a person: tables on standard output; progress and errors on standard error, through `LOG`.

`triptych --verbose COMMAND` sets VERBOSE for every process of the command, and shows what happens below: which worker
starts, what it is asked and how long each answer takes.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Sequence

BAD_INPUT = 2
VERBOSE = "TRIPTYCH_VERBOSE"
LOG = logging.getLogger("triptych")
GAP = "  "


class _StandardError(logging.Handler):
    """Writes to what is standard error when the line comes."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


class _Line(logging.Formatter):
    """Progress as it is; an error or a warning with that word before it; with the time where details are shown."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        return f"{self.formatTime(record, '%H:%M:%S')} {text}" if _verbose() else text


def begin() -> None:
    """Show messages from now on: for the `main` of a command, which a test may call many times."""
    LOG.setLevel(logging.DEBUG if _verbose() else logging.INFO)
    LOG.propagate = False
    if not LOG.handlers:
        handler = _StandardError()
        handler.setFormatter(_Line())
        LOG.addHandler(handler)


def refuse(reason: object) -> int:
    """Say what is wrong with the input; the exit status."""
    LOG.error("%s", reason)
    return BAD_INPUT


def table(rows: Sequence[Sequence[str]], right: bool = False) -> list[str]:
    """The lines of a table whose columns are as wide as they have to be, at the left or at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [GAP.join(_cells(row, widths, right)).rstrip() for row in rows]


def _cells(row: Sequence[str], widths: Iterable[int], right: bool) -> list[str]:
    pairs = zip(row, widths, strict=True)
    return [text.rjust(width) if right else text.ljust(width) for text, width in pairs]


def _verbose() -> bool:
    return bool(os.environ.get(VERBOSE))
