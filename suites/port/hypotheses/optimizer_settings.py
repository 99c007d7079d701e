"""What two optimizers say of themselves, where neither follows a rule that has a formula here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from suites.port.hypotheses.causes import cause, short
from suites.port.hypotheses.question import Cause
from suites.port.hypotheses.rate_changes import RATE_ROUNDING

SETTINGS = ("rate", "rho", "momentum_decay", "beta_1", "beta_2", "epsilon", "weight_decay")


def other_settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> Cause | None:
    """The numbers that two optimizers of one name do not share; None where the names differ, or nothing else."""
    names = [str(each.get("class_name", "")) for each in (a, b)]
    if not names[0] or names[0].lower() != names[1].lower():
        return None
    shared = [key for key in SETTINGS if isinstance(a.get(key), float) and isinstance(b.get(key), float)]
    apart = [key for key in shared if not math.isclose(a[key], b[key], rel_tol=RATE_ROUNDING)]
    if not apart:
        return None
    words = [", ".join(f"{key} {short(each[key])}" for key in apart) for each in (a, b)]
    return cause("settings", f"settings of {names[0]}", words[0], words[1])
