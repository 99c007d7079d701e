"""What the gate says of its comparisons and counts: `reports.gate` writes it to gate.json, the page reads it there."""

from __future__ import annotations

from pydantic.dataclasses import dataclass as validated

from suites.records.cells import LOOSE, Cell, Float


@validated(frozen=True, config=LOOSE)
class Compared:
    """Head / base in one call of one cell with its 95 % interval, and the stricter one that decides.

    Numbers are None where the comparison failed.
    """

    cell: Cell
    what: str
    role: str
    verdict: str
    ratio: Float | None
    low: Float | None
    high: Float | None
    strict_low: Float | None
    strict_high: Float | None
    seconds: Float
    rounds: int
    base_seconds: Float | None
    head_seconds: Float | None
    reason: str


@validated(frozen=True, config=LOOSE)
class Counted:
    """A count of both sides and what the table of budgets says about it: ok, fewer, warn, fail."""

    cell: Cell
    model: str
    implementation: str
    name: str
    base: int | None
    head: int | None
    budget: int | None
    policy: str
    verdict: str
    detail: str
