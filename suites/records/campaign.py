"""What `triptych campaign` keeps: campaign.json, for the page."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from pydantic.dataclasses import dataclass as validated

from suites.records.cells import LOOSE, Float


@validated(frozen=True, config=LOOSE)
class Bar:
    """How many realisations have an observed disagreement of up to `to` times their bound."""

    to: Float
    count: int


@validated(frozen=True, config=LOOSE)
class Covered:
    """How often a layer or an operation was judged in one realisation (API-engine-mode) and dtype."""

    subject: str
    realisation: str
    dtype: str
    count: int


@validated(frozen=True, config=LOOSE)
class Finding:
    """Something that an engine computes otherwise: confirmed in a fresh process, and made small."""

    about: str
    realisation: str
    status: str
    count: int
    program: str = ""
    printed: str = ""
    right: Any = None
    operation: str = ""
    dtype: str = ""
    title: str = ""  # what a person made of it
    link: str = ""  # where upstream speaks of it


@validated(frozen=True, config=LOOSE)
class Campaign:
    """Everything that one or several merged stores hold. `alarms` are those that nobody has looked into, by kind."""

    version: int
    networks: int
    operations: int
    realisations: int
    judged: int
    statuses: dict[str, int]
    histogram: list[Bar]
    coverage: list[Covered]
    findings: list[Finding]
    alarms: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    seconds: Float = 0.0
    date: str = ""
    commit: str = ""  # of the tree that judged
