"""Random weights for both sides: no bias is zero, no running statistic is trivial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impls.weights import DRAWS
from suites.port.matching.assign import STATISTICS, role
from suites.port.matching.links import Link
from suites.runner.workers import Arrays

SINGULAR = {"weight_u", "weight_v", "_u", "_v"}  # torch's spectral_norm, the old one and the parametrisation


def draw(links: Sequence[Link], own: Arrays, seed: int) -> Arrays:
    """Canonical weights for A, by name; each has a stream of its own. What is linked twice is drawn once.

    A buffer that is no running statistic is a constant of its model: it is not drawn. The vectors of spectral norm are
    carried over.
    """
    found: Arrays = {}
    for at, link in enumerate(links):
        if link.a.name in found or fixed(link):
            continue
        if iterated(link):  # A's own are unit vectors
            found[link.a.name] = own[link.a.name].astype(np.float64)
            continue
        rng = np.random.RandomState([seed, at])
        value = drawn(rng, link)
        found[link.a.name] = np.asarray(value, np.float32).astype(np.float64)
    return found


def fixed(link: Link) -> bool:
    return link.a.kind == link.b.kind == "buffer" and not statistic(link) and not iterated(link)


def iterated(link: Link) -> bool:
    """Whether a buffer is a singular vector that spectral norm has come to so far (Miyato et al. 2018), by its name."""
    return link.a.kind == link.b.kind == "buffer" and {link.a.role, link.b.role} <= SINGULAR


def statistic(link: Link) -> bool:
    """Whether a buffer is a running mean or variance, by its role or its name."""
    names = (link.a.role + link.b.role).lower()
    return role(link.a) in STATISTICS or role(link.b) in STATISTICS or "mean" in names or "var" in names


def drawn(rng: np.random.RandomState, link: Link) -> np.ndarray:
    shape = link.a.shape
    known = next((role(w) for w in (link.a, link.b) if role(w) in DRAWS), "")
    if known and (len(shape) > 1 or "kernel" not in known):
        return np.asarray(DRAWS[known](rng, shape))
    if len([n for n in shape if n != 1]) > 1:
        return np.asarray(DRAWS["kernel"](rng, shape))
    return rng.uniform(0.5, 1.5, shape)  # positive where it could be a variance
