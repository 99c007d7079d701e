"""Attention out of an engine's own operations, for engines without a kernel and for what their kernels lack."""

from __future__ import annotations

from typing import NamedTuple

from impls.shim.backends.contract import Array, Function


class Operations(NamedTuple):
    """The functions of an engine."""

    einsum: Function
    reshape: Function
    where: Function
    softmax: Function  # over the last axis
    lower: Function  # (rows, columns, type): ones at and below the diagonal


def attention(engine: Operations, q: Array, k: Array, v: Array, mask: Array, causal: bool, noise: Array) -> Array:
    """See `attention` of the NumPy backend."""
    steps, heads, units = q.shape[1:]
    keys, groups = k.shape[1:3]
    grouped = engine.reshape(q, (-1, steps, groups, heads // groups, units))
    scores = engine.einsum("ntgrd,nsgd->ngrts", grouped, k * units**-0.5)
    scores = engine.reshape(scores, (-1, heads, steps, keys))
    seen = mask
    if causal:
        lower = engine.lower(steps, keys, dtype=bool)
        seen = lower if seen is None else seen & lower
    if seen is not None:
        scores = engine.where(seen, scores, -3e4 if "float16" in str(scores.dtype) else -1e30)
    shares = engine.softmax(scores)
    if mask is not None:  # where a query sees nothing at all, its shares would be equal
        shares = engine.where(seen, shares, 0.0)
    if noise is not None:
        shares = shares * noise
    shares = engine.reshape(shares, (-1, groups, heads // groups, steps, keys))
    return engine.reshape(engine.einsum("ngrts,nsge->ntgre", shares, v), (-1, steps, heads, v.shape[-1]))
