"""The cell, on which everything recorded hangs, and how records check their fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Strict

STRICT = ConfigDict(extra="forbid", ser_json_inf_nan="strings", strict=True)
LOOSE = ConfigDict(extra="ignore", strict=True)  # of a file that may say more than its reader has to know
Float = Annotated[float, Strict(False)]  # JSON has no NaN: it is written as a string


@dataclass(frozen=True, order=True)
class Cell:
    """What everything recorded hangs on."""

    model: str
    implementation: str
    backend: str
    mode: str
    device: str
    dtype: str
    size: str = "small"

    @property
    def id(self) -> str:
        """`mlp-shim-torch-eager-cpu-float64-small`: every field, in order."""
        return "-".join((self.model, self.implementation, self.backend, self.mode, self.device, self.dtype, self.size))
