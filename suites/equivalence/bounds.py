"""Bounds that are derived: how far rounding alone can take a tensor from the float64 truth.

Every operation of the oracle commits a random error whose size follows from the unit roundoff, the magnitudes of its
operands and the count of its terms (`impls.stochastic`: the probabilistic analysis of Higham and Mary, 2019). The
oracle is run several times with such errors in every operation, forward, backward and in the optimizer, which takes
them to every tensor through whatever the model does with them: cancellation in a BatchNorm of large mean, saturation,
a clip, a division by a small root. So the error e of a tensor is a random vector of mean 0, of which a few samples
e_1 ... e_K are known, and with its covariance C

    ||e||^2 = sum_i c_i z_i^2,   c_i the eigenvalues of C, z_i standard normal

of which Laurent and Massart (2000, lemma 1) say that with probability at least 1 - exp(-t)

    ||e||^2 <= tr C + 2 sqrt(t) ||C||_F + 2 t ||C||_2        (and ||C||_2 <= ||C||_F)

The samples estimate both norms without bias: tr C is the mean of ||e_i||^2 and ||C||_F^2 the mean of (e_i . e_j)^2 over
the pairs. t = ln(1 / FAILURE) leaves one tensor in ten million to chance. That the norms are estimates, and that
an engine orders its sums as it likes, is covered by the errors having the largest variance that an error of at most
one unit roundoff can have, three times that of evenly spread ones.

The elementary functions of an engine may be some ulp off (`impls.stochastic`), over long intervals to the same side,
which random errors don't show. What it does if all of a family err by all they may is one run more; its error is added
as an independent one is, the squares of the norms.

Where the truth is computed in the cell's own precision its errors count as well: the variance is twice that of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from impls import IMPLEMENTATIONS
from suites.records import Cell, Comparison
from suites.stages import FAMILIES
from suites.workers import Arrays

FAILURE = 1e-7  # that rounding alone takes one tensor over its bound: 0.03 times in 10,000 comparisons of 30 tensors


def reach(products: np.ndarray) -> float:
    """The norm that an error stays below, from the inner products of samples of it (K, K)."""
    count, t = len(products), math.log(1 / FAILURE)
    trace = float(np.trace(products)) / count
    pairs = products[~np.eye(count, dtype=bool)]
    frobenius = min(math.sqrt(float(np.mean(pairs**2))), trace)  # of a covariance it can't be more
    return math.sqrt(trace + 2 * (math.sqrt(t) + t) * frobenius)


def allowed(products: np.ndarray) -> float:
    """The norm that an error stays below, from the Gram matrix of `suites.stages.spread`."""
    random, biased = products[: -len(FAMILIES), : -len(FAMILIES)], np.diag(products)[-len(FAMILIES) :]
    return math.hypot(reach(random), *np.sqrt(biased))


def bounds(cell: Cell, truth: Arrays, products: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The bound of each tensor of `truth`, relative to its norm (absolute where that is zero)."""
    sides = 2 if cell.dtype == "float64" else 1
    found = {name: math.sqrt(sides) * allowed(value) for name, value in products.items()}
    return {name: value / (float(np.linalg.norm(truth[name])) or 1.0) for name, value in found.items()}


def owed(cell: Cell, stage: str, truth: Arrays) -> Arrays:
    """The tensors of `truth` that a cell has to show: no step in float32 where its optimizer departs on purpose."""
    if stage != "float32_step" or not IMPLEMENTATIONS[cell.implementation].departs:
        return truth
    return {name: value for name, value in truth.items() if not name.startswith(("weight/", "slot/", "losses"))}


def slack(row: Comparison) -> float:
    """Bound over observed disagreement; infinite where both sides are bit-equal."""
    return (row.bound or 0.0) / row.disagreement if row.disagreement else float("inf")
