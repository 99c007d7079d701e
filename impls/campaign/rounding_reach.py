"""What rounding can do to each tensor of a network: the oracle run again and again with errors in every operation.

Beside the samples that `suites.equivalence.bounds` makes a bound of, PROBES runs with errors WIDER times as large say
whether the tensor is smooth there: at a kink, a tie or a clip that lies within their reach the error does not grow in
proportion, and a sample of small errors would not know what happens beyond.
"""

from __future__ import annotations

import numpy as np

from impls.campaign.messages import Arrays, Network
from impls.worker import stochastic_rounding

DRAWS = 8
FAMILIES = ["tanh", "exp"]
PROBES = 6
WIDER = 64.0
SMALLEST = 2.0**-40  # smaller errors would drown in the true ones of float64


def bounds(
    network: Network, arrays: Arrays, unit: float, draws: int = 0, apart: bool = False
) -> tuple[dict[str, str], Arrays]:
    """By tensor: the truth, `products/` (the Gram matrix of its errors), `probe/` the errors of the wider runs.

    `draws` are how many of each are made, 0: the usual number; `apart`: equal numbers err each by itself.
    """
    committed = max(unit, SMALLEST)
    single = unit > 2.0**-50
    truth = run(network, arrays, 0.0, 0, "", not single)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in truth}
    for draw, family in enumerate([""] * (draws or DRAWS) + FAMILIES):
        for name, found in run(network, arrays, committed, draw, family, not single, apart).items():
            rows[name].append(np.ravel(found - truth[name]) * (unit / committed))
    probes: dict[str, list[float]] = {name: [] for name in truth}
    for draw in range(draws or PROBES):
        for name, found in run(network, arrays, WIDER * committed, 100 + draw, "", not single, apart).items():
            probes[name].append(float(np.linalg.norm(np.ravel(found - truth[name]))) * (unit / committed))
    answer = dict(truth)
    for name, errors in rows.items():
        stacked = np.stack(errors)
        answer["products/" + name] = stacked @ stacked.T
        answer["probe/" + name] = np.asarray(probes[name]) / WIDER
    return {}, answer


def run(
    network: Network, arrays: Arrays, unit: float, draw: int, family: str, float64: bool, apart: bool = False
) -> Arrays:
    """The oracle with errors of `unit` in every operation."""
    from impls.campaign import shim_networks

    stochastic_rounding.round_randomly(unit, draw, family, float64, apart)
    try:
        described: Network = {**network, "dtype": "float64"}
        with np.errstate(all="ignore"):
            found = shim_networks.observe(described, arrays, "numpy", None)
    finally:
        stochastic_rounding.round_randomly(0.0, 0)
    return {name: np.array(value, np.float64).view(np.ndarray) for name, value in found.items()}
