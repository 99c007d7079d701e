"""Bounds that are derived: how far rounding alone can take a tensor from the float64 truth.

Every operation of the oracle commits a random error whose size follows from the unit roundoff, the magnitudes of its
operands and the count of its terms (`stochastic_rounding`: the probabilistic analysis of Higham and Mary, 2019). The
oracle is run several times with such errors in every operation, forward, backward and in the optimizer, which takes
them to every tensor through whatever the model does with them: cancellation in a BatchNorm of large mean, saturation,
a clip, a division by a small root. So the error e of a tensor is a random vector of mean 0, of which a few samples
e_1 ... e_K are known, and with its covariance C

    ||e||^2 = sum_i c_i z_i^2,   c_i the eigenvalues of C, z_i standard normal

Let l be at least the largest eigenvalue. The logarithm of the moment generating function of ||e||^2 - tr C is
sum_i c_i^2 g(c_i) with g(c) = (-ln(1 - 2 s c) / 2 - s c) / c^2, which grows with c: at most it is ||C||_F^2 g(l), that
of n = ||C||_F^2 / l^2 eigenvalues l. Hence the tail of ||e||^2 is no heavier than that of

    tr C + l (chi2_n - n)

whose quantile is taken (Laurent and Massart 2000, lemma 1, bound the same function more coarsely). The samples
estimate the traces of powers of C without bias: tr C is the mean of ||e_i||^2, tr C^2 that of (e_i . e_j)^2 over pairs,
tr C^3 that of (e_i . e_j)(e_j . e_k)(e_k . e_i) over triples; and l^3 <= tr C^3. FAILURE leaves one tensor in ten
million to chance. That K samples only estimate the traces widens the tail from that of chi2_n / n to that of an F
distribution of n and K n degrees of freedom.

The elementary functions of an engine may be some ulp off (`stochastic_rounding`), over long intervals to the same side,
which random errors don't show. What it does if all of a family err by all they may is one run more; its error is added
as an independent one is, the squares of the norms.

Where the truth is computed in the cell's own precision its errors count as well: the variance is twice that of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import special

from impls import IMPLEMENTATIONS
from suites.records.run import Cell, Comparison
from suites.runner.stages import FAMILIES
from suites.runner.workers import Arrays

FAILURE = 1e-7  # that rounding alone takes one tensor over its bound: 0.03 times in 10,000 comparisons of 30 tensors


def reach(products: np.ndarray) -> float:
    """The norm that an error stays below, from the inner products of samples of it (K, K), K at least 3."""
    count = len(products)
    trace = float(np.trace(products)) / count
    if not trace:
        return 0.0
    pairs = products / trace * ~np.eye(count, dtype=bool)  # in units of the trace: squares and cubes stay in range
    square = min(float(np.sum(pairs**2)) / (count * (count - 1)), 1.0)  # of a covariance it can't be more
    cube = float(np.trace(pairs @ pairs @ pairs)) / (count * (count - 1) * (count - 2))
    cube = max(cube, square**2)  # Cauchy and Schwarz: it can't be less
    largest = min(cube ** (1 / 3), math.sqrt(square))
    if not (largest**2):  # samples that have nothing in common say nothing of the directions: one has all of the error
        return math.sqrt(trace) * math.sqrt(quantile(1.0, count))
    freedom = square / largest**2
    return math.sqrt(trace) * math.sqrt(1 + largest * freedom * (quantile(freedom, count) - 1))


def quantile(freedom: float, samples: int) -> float:
    """What chi2_n over an estimate of n from so many samples stays below: F with n and K n degrees of freedom."""
    share = float(special.betaincinv(samples * freedom / 2, freedom / 2, FAILURE))
    return samples * (1 - share) / share


def allowed(products: np.ndarray) -> float:
    """The norm that an error stays below, from the Gram matrix of `suites.runner.stages.spread`."""
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
