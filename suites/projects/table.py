"""`[tool.triptych.gate]` of a user's pyproject.toml: what is measured, how it is built, what a slower test means."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suites.projects.environments import pyproject
from suites.projects.wheels import BuildError

POLICIES = ("fail", "warn", "off")
LISTS = ("extras", "groups", "requirements", "packages", "arguments")
NUMBERS = ("patience", "longest", "timeout")
TABLES = ("policy", "budget", "variables")
OTHERS = ("default", "synchronize", "bind")


class TableError(ValueError):
    """A table that can't be used; the message names the place."""


@dataclass(frozen=True)
class Table:
    """The table as the run uses it: seconds, lists of names, and by glob of a test policies and budgets.

    `patience`: how long the run waits for a calm machine in all; `longest`: a test whose fewest rounds take longer is
    left out; `timeout`: of a single step of a test. A budget is the slowdown that is allowed, 0.05 is 5 %.
    """

    default: str = "fail"
    policy: dict[str, str] = field(default_factory=dict)
    budget: dict[str, float] = field(default_factory=dict)
    extras: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    requirements: tuple[str, ...] | None = None
    packages: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    synchronize: str = ""
    bind: bool = True
    patience: float = 120.0
    longest: float = 60.0
    timeout: float = 600.0


def load(tree: Path) -> Table:
    """The table of a tree; the defaults where it has none. Raises TableError."""
    try:
        found = pyproject(tree).get("tool", {}).get("triptych", {}).get("gate", {})
    except BuildError as error:
        raise TableError(str(error)) from error
    return Table(**{name: _checked(name, value) for name, value in found.items()})


def _checked(name: str, value: Any) -> Any:
    known = (*LISTS, *NUMBERS, *TABLES, *OTHERS)
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise _wrong(name, f"unknown key: known are {', '.join(sorted(known))}{hint}")
    if name in LISTS:
        return tuple(_all(name, value, str, "a list of texts"))
    if name in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise _wrong(name, f"{value!r} has to be a number of seconds")
        return float(value)
    if name == "bind":
        if not isinstance(value, bool):
            raise _wrong(name, f"{value!r} has to be true or false")
        return value
    return _checked_text(name, value)


def _checked_text(name: str, value: Any) -> Any:
    if name == "default":
        return _policy(name, value)
    if name == "synchronize":
        if not isinstance(value, str) or value.count(":") != 1:
            raise _wrong(name, f"{value!r} has to be 'module:function'")
        return value
    if not isinstance(value, dict):
        raise _wrong(name, f"{value!r} has to be a table")
    if name == "policy":
        return {glob: _policy(f"{name}.{glob!r}", item) for glob, item in value.items()}
    if name == "budget":
        return {glob: share(f"{name}.{glob!r}", item) for glob, item in value.items()}
    return {key: str(item) for key, item in value.items()}


def _policy(name: str, value: Any) -> str:
    if value not in POLICIES:
        raise _wrong(name, f"{value!r}: known are {', '.join(POLICIES)}")
    return str(value)


def share(name: str, value: Any) -> float:
    """`0.05` or `"5 %"` as a share."""
    text = value.rstrip("% ") if isinstance(value, str) and value.rstrip().endswith("%") else None
    try:
        found = float(text) / 100 if text is not None else float(value)
    except (TypeError, ValueError):
        raise _wrong(name, f'{value!r} has to be a share, such as 0.05 or "5 %"') from None
    if isinstance(value, bool) or not 0 <= found < 10:
        raise _wrong(name, f'{value!r} has to be a share from 0 on, such as 0.05 or "5 %"')
    return found


def _all(name: str, value: Any, kind: type, text: str) -> Any:
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise _wrong(name, f"{value!r} has to be {text}")
    return value


def _wrong(name: str, text: str) -> TableError:
    return TableError(f"pyproject.toml: [tool.triptych.gate] {name}: {text}")
