"""How a worker fails: each kind with a reason that a person can read in one line."""

from __future__ import annotations

import re

LONGEST_REASON = 400  # characters


class WorkerFailed(RuntimeError):
    """A worker did not answer: `reason` is one line, `details` a traceback or the last lines of standard error."""

    def __init__(self, worker: str, reason: str, details: str = ""):
        super().__init__(f"{worker}: {reason}")
        self.worker, self.reason, self.details = worker, reason, details


class WorkerRaised(WorkerFailed):
    """An exception in the worker, which lives on: `error` is its type, `message` its text.

    The reason is the first line of that and, of an engine's exception, where in the engine it was raised.
    """

    def __init__(self, worker: str, error: str, message: str, traceback: str):
        super().__init__(worker, f"{error}: {first_line(message)}{engine_place(traceback)}", traceback)
        self.error, self.message = error, message


FRAME = re.compile(r'^  File "(.+)", line (\d+), in ', re.MULTILINE)


def first_line(message: str) -> str:
    """What a message says first; AutoGraph's says "in user code:" and ends with what happened."""
    lines = [line.strip() for line in message.splitlines() if line.strip()] or [""]
    said = lines[0]
    if said.endswith(":") and len(lines) > 1:
        said += " " + (lines[-1] if said == "in user code:" else lines[1])
    return said if len(said) <= LONGEST_REASON else said[:LONGEST_REASON] + " …"


def engine_place(traceback: str) -> str:
    """The innermost frame of a traceback where that is in an engine; nothing where it is in this tree."""
    frames = FRAME.findall(traceback)
    if not frames or "site-packages/" not in frames[-1][0]:
        return ""
    path, line = frames[-1]
    return f" (at {path.rpartition('site-packages/')[2]}:{line})"


class WorkerDied(WorkerFailed):
    """The worker's process ended, or what it wrote was no message."""


class WorkerTimedOut(WorkerFailed):
    """The worker was stopped because it took too long."""


class WorkerOutOfMemory(WorkerFailed):
    """The worker was stopped because it held more than its memory limit."""
