"""What can differ between two models: conventions of layers, losses, statistics and optimizers, each tried."""

from __future__ import annotations

from suites.port.hypotheses.expressions import (
    explain_formula,
    explain_measured,
    explain_part,
    explain_place,
)
from suites.port.hypotheses.losses import explain_loss
from suites.port.hypotheses.optimizers import explain_steps
from suites.port.hypotheses.regions import explain_region
from suites.port.hypotheses.state import explain_start, explain_state

__all__ = [
    "explain_formula",
    "explain_loss",
    "explain_measured",
    "explain_part",
    "explain_place",
    "explain_region",
    "explain_start",
    "explain_state",
    "explain_steps",
]
