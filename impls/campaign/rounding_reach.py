"""What rounding can do to each tensor of a network: the oracle run again and again with errors in every operation.

Beside the samples that `suites.equivalence.bounds` makes a bound of, PROBES runs with errors WIDER times as large say
whether the tensor is smooth there: at a kink, a tie or a clip that lies within their reach the error does not grow in
proportion, and a sample of small errors would not know what happens beyond.
"""

import numpy as np

from impls.worker import stochastic_rounding

DRAWS = 8
FAMILIES = ["tanh", "exp"]
PROBES = 6
WIDER = 64.0
SMALLEST = 2.0**-40  # smaller errors would drown in the true ones of float64


def bounds(network, arrays, unit, draws=0):
    """By tensor: the truth, `products/` (the Gram matrix of its errors), `probe/` the errors of the wider runs.

    `draws` are how many of each are made, 0: the usual number.
    """
    committed = max(unit, SMALLEST)
    single = unit > 2.0**-50
    truth = run(network, arrays, 0.0, 0, "", not single)
    rows = {name: [] for name in truth}
    for draw, family in enumerate([""] * (draws or DRAWS) + FAMILIES):
        for name, found in run(network, arrays, committed, draw, family, not single).items():
            rows[name].append(np.ravel(found - truth[name]) * (unit / committed))
    probes = {name: [] for name in truth}
    for draw in range(draws or PROBES):
        for name, found in run(network, arrays, WIDER * committed, 100 + draw, "", not single).items():
            probes[name].append(float(np.linalg.norm(np.ravel(found - truth[name]))) * (unit / committed))
    answer = dict(truth)
    for name, found in rows.items():
        stacked = np.stack(found)
        answer["products/" + name] = stacked @ stacked.T
        answer["probe/" + name] = np.asarray(probes[name]) / WIDER
    return {}, answer


def run(network, arrays, unit, draw, family, float64):
    """The oracle with errors of `unit` in every operation."""
    from impls.campaign import shim_networks

    stochastic_rounding.round_randomly(unit, draw, family, float64)
    try:
        described = dict(network, dtype="float64")
        with np.errstate(all="ignore"):
            found = shim_networks.observe(described, arrays, "numpy", None)
    finally:
        stochastic_rounding.round_randomly(0.0, 0)
    return {name: np.array(value, np.float64).view(np.ndarray) for name, value in found.items()}
