"""What a comparison found: one difference, where it is, and its cause where that is known."""

from __future__ import annotations

from dataclasses import dataclass

from suites.port.bounds import Difference
from suites.port.hypotheses.question import Cause

PHASES = ("inference", "training", "state", "loss", "backward", "optimizer", "weights")


@dataclass(frozen=True)
class Finding:
    """One difference that does not follow from another one."""

    phase: str
    place_a: str
    place_b: str
    cause: Cause | None = None
    difference: Difference | None = None
    line_a: str = ""
    line_b: str = ""
    details: str = ""  # what is known of one that is not recognised

    @property
    def signature(self) -> str:
        return self.cause.signature if self.cause else ""

    @property
    def released(self) -> str:
        return self.cause.released if self.cause else ""

    @property
    def place(self) -> str:
        """Where it is, for a person."""
        if self.place_a == self.place_b:
            return self.place_a
        return f"{self.place_a} of A, {self.place_b} of B"

    def words(self) -> str:
        """What it is, for a person."""
        return self.cause.words() if self.cause else f"not recognised: {self.details}"

    @property
    def rank(self) -> int:
        return PHASES.index(self.phase)
