"""Attention in plain NumPy."""

from __future__ import annotations

from suites.port.hypotheses.formulas import Formula

FORMULAS: dict[str, Formula] = {}
