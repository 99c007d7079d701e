"""What can differ between two models: conventions of layers, losses, statistics and optimizers, each tried."""

from __future__ import annotations

from suites.port.hypotheses.losses_and_statistics import explain_loss
from suites.port.hypotheses.optimizers import explain_steps
from suites.port.hypotheses.question import Cause, Question
from suites.port.hypotheses.state import explain_state

__all__ = ["explain_loss", "explain_region", "explain_state", "explain_steps"]


def explain_region(question: Question) -> list[Cause]:
    """The causes that turn what A does in a region into what B does."""
    return []
