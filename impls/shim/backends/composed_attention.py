"""Attention out of an engine's own operations, for engines without a kernel and for what their kernels lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Operations(NamedTuple):
    """The functions of an engine."""

    einsum: Callable[..., Any]
    reshape: Callable[..., Any]
    where: Callable[..., Any]
    softmax: Callable[..., Any]  # over the last axis
    lower: Callable[..., Any]  # (rows, columns, type): ones at and below the diagonal


def attention(engine: Operations, q: Any, k: Any, v: Any, mask: Any, causal: bool, noise: Any) -> Any:
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
