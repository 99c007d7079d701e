"""Policies and budgets of the exact counts, from one TOML table, and what they say about a count."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.evidence.gate_file import Counted
from suites.records.cells import Cell
from suites.records.gate import Count

TABLE = Path(__file__).with_name("gate.toml")
POLICIES = ("fail", "warn", "off")
SECTIONS = ("policy", "tolerance", "budget")


class BudgetError(ValueError):
    """A table that can't be used; the message names the file and the place."""


@dataclass(frozen=True)
class Policy:
    """What happens by the name of a count, which share of it is no increase, and budgets by cell and name."""

    policy: dict[str, str]
    tolerance: dict[str, float]
    budget: dict[str, dict[str, int]]


def load(path: Path) -> Policy:
    """The table in `path`. Raises BudgetError."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BudgetError(f"{path}: {error}") from error
    for section in found:
        if section not in SECTIONS:
            raise BudgetError(f"{path}: unknown section [{section}]: known are {', '.join(SECTIONS)}")
    for name, policy in found.get("policy", {}).items():
        if policy not in POLICIES:
            raise BudgetError(f"{path}: [policy] {name!r} is {policy!r}: known are {', '.join(POLICIES)}")
    return Policy(found.get("policy", {}), found.get("tolerance", {}), _budgets(path, found.get("budget", {})))


def _budgets(path: Path, found: dict[str, Any]) -> dict[str, dict[str, int]]:
    for key, budget in found.items():
        for name, number in budget.items():
            if not isinstance(number, int):
                raise BudgetError(f"{path}: [budget.{key}] {name!r} is {number!r}: has to be a whole number")
    return found


def key(cell: Cell) -> str:
    """What a cell is called in [budget]."""
    return f"{cell.model}-{cell.implementation}-{cell.backend}"


def counted(item: Count, table: Policy) -> Counted:
    """One count, judged."""
    policy = table.policy.get(item.name, "warn")
    budget = table.budget.get(key(item.cell), {}).get(item.name)
    verdict = _verdict(item, policy, budget, table.tolerance.get(item.name, 0.0))
    cell = item.cell
    return Counted(
        cell, cell.model, cell.implementation, item.name, item.base, item.head, budget, policy, verdict, item.detail
    )


def _verdict(item: Count, policy: str, budget: int | None, tolerance: float) -> str:
    """A module that comes for one that goes is an increase too; what a side does not tell says nothing."""
    if item.head is None or (item.base is None and budget is None):
        return "ok"
    allowed = budget if budget is not None else (item.base or 0) * (1 + tolerance)
    if item.head > allowed or (budget is None and "+" in item.detail):
        return "ok" if policy == "off" else policy
    return "fewer" if item.base is not None and item.head < item.base else "ok"
