"""What a worker says where a user's file can't be used, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impls.port.annotations import Native


class UserError(Exception):
    """The user's file can't be used; the message is one line that says where and what to do."""


def in_one_line(error: object) -> str:
    """The message of an error without its line breaks, cut where it is long."""
    return " ".join(str(error).split())[:200]


class ServedElsewhere(Exception):
    """What build() returned is of another API than its file; `model` is it."""

    def __init__(self, model: Native) -> None:
        super().__init__(type(model).__name__)
        self.model = model
