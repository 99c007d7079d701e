"""The catalogue of faults outside a step, and in what all backends share: `known.toml`, one change of a source each."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from suites.runner.machine import ROOT

CATALOGUE = Path(__file__).parent / "known.toml"


@dataclass(frozen=True)
class Known:
    """One fault: `old` occurs once in `file`; `equivalent` says why it changes nothing, "" where it does."""

    id: str
    title: str
    file: str
    old: str
    new: str
    equivalent: str = ""


def known_faults() -> list[Known]:
    """All of them. Raises ValueError for one whose text does not occur exactly once."""
    rows = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))["fault"]
    found = [Known(**row) for row in rows]
    for fault in found:
        count = (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old)
        if count != 1:
            raise ValueError(f"{CATALOGUE.name}: {fault.id}: the old text occurs {count} times in {fault.file}")
    if len({fault.id for fault in found}) < len(found):
        raise ValueError(f"{CATALOGUE.name}: two faults have one id")
    return found
