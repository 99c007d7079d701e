"""Attention and its kin by their formulas, one head at a time; see `suites.references.layers`."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any  # of NumPy, of real or complex numbers


def turned(x: Array, base: float) -> Array:
    """Su et al. (2021), equation 34, the pairs a half apart: as complex numbers, times exp(i t base^(-2 i / D))."""
    steps, units = x.shape[1], x.shape[-1]
    half = units // 2
    y = np.empty_like(x)
    for t in range(steps):
        for i in range(half):
            angle = t / base ** (2 * i / units)
            a, b = x[:, t, :, i], x[:, t, :, half + i]
            y[:, t, :, i] = a * np.cos(angle) - b * np.sin(angle)
            y[:, t, :, half + i] = a * np.sin(angle) + b * np.cos(angle)
    return y


def projected(w: dict[str, Array], name: str, x: Array) -> Array:
    """(N, T, D) to (N, T, heads, units)."""
    y = np.einsum("ntd,dhk->nthk", x, w[f"{name}/kernel"])
    return y + w[f"{name}/bias"] if f"{name}/bias" in w else y


def visible(o: dict[str, Any], shape: tuple[int, ...], keys: Array | None, given: Array | None) -> Array:
    """Where a query looks: (N, T, S)."""
    seen = np.ones(shape, bool)
    for t in range(shape[1]):
        if o["causal"]:
            seen[:, t, t + 1 :] = False
        if keys is not None:
            seen[:, t] &= keys
        if given is not None:
            seen[:, t] &= (given if given.ndim == 2 else given[:, t]) != 0
    return seen


def multi_head_attention(o: dict[str, Any], w: dict[str, Array], x: Any, run: Any) -> Array:
    """Vaswani et al. (2017), 3.2; of a query that sees nothing every share is 0."""
    inputs = list(x) if isinstance(x, list) else [x]
    given = inputs.pop() if o["masked"] else None
    at = 1 if len(inputs) > 1 else 0
    query, value, key = inputs[0], inputs[at], inputs[-1]
    q, k, v = projected(w, "query", query), projected(w, "key", key), projected(w, "value", value)
    if o["rope"] is not None:
        q, k = turned(q, o["rope"]), turned(k, o["rope"])
    seen = visible(o, (len(query), query.shape[1], value.shape[1]), run.masks[at], given)
    total = w.get("attention_output/bias", 0.0)
    served = o["num_heads"] // k.shape[2]
    for head in range(o["num_heads"]):
        scores = np.einsum("ntk,nsk->nts", q[:, :, head], k[:, :, head // served]) / np.sqrt(o["key_dim"])
        largest = np.where(seen, scores.real, -np.inf).max(-1, keepdims=True)
        e = np.exp(np.where(seen, scores - np.where(np.isfinite(largest), largest, 0), -np.inf))
        shares = e / np.where(seen.any(-1, keepdims=True), e.sum(-1, keepdims=True), 1)
        if run.training and o["dropout"]:
            shares = shares * run.noise[o["name"]][:, head] / (1 - o["dropout"])
        total = total + shares @ v[:, :, head // served] @ w["attention_output/kernel"][head]
    run.mask = run.masks[0]
    return total


def position_embedding(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    return x + w["embeddings"][np.arange(x.shape[1])]


def rms_norm(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    """Zhang and Sennrich (2019), equation 4."""
    return w["gamma"] * x / np.sqrt((x**2).sum(-1, keepdims=True) / x.shape[-1] + o["epsilon"])


def tied_head(o: dict[str, Any], w: dict[str, Array], x: Array, run: Any) -> Array:
    """The rows of the table that an embedding has, each times x."""
    return np.einsum("...d,vd->...v", x, w["embeddings"])
