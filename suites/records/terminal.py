"""What a command tells a person: tables on standard output; progress and errors on standard error, through `LOG`.

`triptych --verbose COMMAND` sets VERBOSE for every process of the command, and shows what happens below: which worker
starts, what it is asked and how long each answer takes.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

BAD_INPUT = 2
VERBOSE = "TRIPTYCH_VERBOSE"
LOG = logging.getLogger("triptych")
GAP = "  "
NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EPIPE)
Main: TypeAlias = Callable[..., int]


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


def guarded(main: Main) -> Main:
    """A command's `main` that says in one line which file could not be read or written, or that a disk is full.

    Its status is that of bad input, for 1 would be an answer. `--verbose` shows where it was.
    """

    @functools.wraps(main)
    def run(arguments: Sequence[str] | None = None) -> int:
        begin()
        try:
            try:
                return main(arguments)
            finally:
                sys.stdout.flush()  # at Python's end it would be too late to say anything
        except OSError as error:
            if _verbose() or not (error.filename or error.errno in NOT_WRITTEN):
                raise
            forget_output()
            return refuse(f"{error.filename or 'what was to be written'}: {error.strerror}")

    return run


def forget_output() -> None:
    """Let what standard output still holds go nowhere, for Python tries it once more at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def table(rows: Sequence[Sequence[str]], right: bool = False) -> list[str]:
    """The lines of a table whose columns are as wide as they have to be, at the left or at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [GAP.join(_cells(row, widths, right)).rstrip() for row in rows]


def _cells(row: Sequence[str], widths: Iterable[int], right: bool) -> list[str]:
    pairs = zip(row, widths, strict=True)
    return [text.rjust(width) if right else text.ljust(width) for text, width in pairs]


def _verbose() -> bool:
    return bool(os.environ.get(VERBOSE))
