"""Single predictions, each waited for: what percentiles of a service's response time are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suites.runner.remote_model import RemoteModel
from suites.speed.rounds import CALL_SECONDS, Arm, guarded

ROUNDS = 20
CALLS = 50  # a round: 1,000 in all, of which ten lie beyond the 99th percentile
ROUND_SECONDS = 0.25  # a slow way gets fewer calls, and so wider intervals
DIGITS = 4


def measure(arms: Sequence[Arm], seed: int = 0) -> list[list[list[float]]]:
    """Seconds of every call by arm and round; the arms take turns in an order drawn anew each round."""
    rng = np.random.default_rng(seed)
    found: list[list[list[float]]] = [[] for _ in arms]
    for _ in range(ROUNDS):
        for index in rng.permutation(len(arms)):
            arm = arms[index]
            if not arm.failure:
                guarded(arm, lambda arm=arm, index=index: found[index].append(_round(arm)))  # type: ignore[misc]
    return found


def _round(arm: Arm) -> list[float]:
    model = RemoteModel(arm.worker, CALL_SECONDS)
    result = model.time("predict", CALLS, at=arm.at, discard=2, each=True, limit=ROUND_SECONDS)
    return [float(f"{seconds:.{DIGITS}g}") for seconds in result["calls"]]
