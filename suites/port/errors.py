"""Bad input of the port checker."""

from __future__ import annotations


class PortError(ValueError):
    """Bad input: one line that names it and the way out; what follows a line break is a list to choose from.

    `traceback` is the user's own, cut to the frames of their files; `details` is all of it.
    """

    def __init__(self, message: str, traceback: str = "", details: str = ""):
        super().__init__(message)
        self.traceback = traceback
        self.details = details


class NotCaptured(PortError):
    """A capture was asked for what it does not hold: it has no process that could compute it."""
