"""The catalogue of faults outside a step, and in what all backends share: one change of a source each.

`known.toml` has those of what all backends share, `outside.toml` those of what a user calls besides: fit, evaluate,
predict, callbacks, files, moves, estimators, and each engine's own loop of an epoch; `newest.toml`
those of the newest layers, losses and schedules, and of fit as Keras has it.
"""

from __future__ import annotations

import functools
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suites.runner.machine import ROOT

CATALOGUES = [Path(__file__).parent / name for name in ("known.toml", "outside.toml", "newest.toml")]
SHIM = ROOT / "impls" / "shim"
REFERENCES = ("suites/references", "-k", "not (torch or jax or tensorflow)")


@dataclass(frozen=True)
class Known:
    """One fault: `old` occurs once in `file`; `equivalent` says why it changes nothing, "" where it does.

    `tests` is what has to notice it, as pytest takes it; without it the references on NumPy.
    """

    id: str
    title: str
    file: str
    old: str
    new: str
    equivalent: str = ""
    tests: tuple[str, ...] = REFERENCES


def known_faults() -> list[Known]:
    """All of them. Raises ValueError for one whose text does not occur exactly once."""
    sources.cache_clear()
    found = []
    for path in CATALOGUES:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
        found += [known(row) for row in rows]
    for fault in found:
        count = source(fault.file).count(fault.old)
        if count != 1:
            raise ValueError(f"fault {fault.id}: the old text occurs {count} times in {fault.file}")
    ids = [fault.id for fault in found]
    if twice := [each for each in ids if ids.count(each) > 1]:
        raise ValueError(f"two faults have the id {twice[0]!r}")
    return found


def known(row: dict[str, Any]) -> Known:
    """One row of a catalogue; without a file it is the one of the shim that holds the old text."""
    given = {"file": "", **row}
    if "tests" in given:
        given["tests"] = tuple(shlex.split(given["tests"]))
    if not given["file"]:
        given["file"] = file_with(given["old"])
    return Known(**given)


def file_with(text: str) -> str:
    """The one source of the shim that holds a text, the first where there is none. Raises ValueError for two."""
    holding = [name for name, source in sources().items() if text in source]
    if len(holding) > 1:
        raise ValueError(f"{' and '.join(holding)} hold {text!r}: name the file")
    return (holding or list(sources()))[0]


def source(file: str) -> str:
    """A source of the shim, or of a program."""
    return sources().get(file) or (ROOT / file).read_text(encoding="utf-8")


@functools.cache
def sources() -> dict[str, str]:
    """The sources of the shim, without its tests."""
    paths = sorted(path for path in SHIM.rglob("*.py") if not path.name.startswith("test_"))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
