"""Attention by PyTorch's kernel, whose memory is linear in the length of the sequences."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from impls.shim.backends import composed_attention
from impls.shim.backends.contract import Array


def _where(condition: Array, a: Array, b: float) -> Array:
    return a.masked_fill(~condition, b)


def attention(q: Array, k: Array, v: Array, mask: Array, causal: bool, noise: Array) -> Array:
    """The kernel takes no factors of the shares: with `noise` it is composed."""

    def lower(rows: int, columns: int, dtype: type) -> Array:
        return torch.ones(rows, columns, dtype=torch.bool, device=q.device).tril()

    if noise is not None:
        engine = composed_attention.Operations(torch.einsum, torch.reshape, _where, _softmax, lower)
        return composed_attention.attention(engine, q, k, v, mask, causal, noise)
    if causal and mask is not None:  # the kernel takes one of them
        mask, causal = mask & lower(q.shape[1], k.shape[1], bool), False
    queries, keys, values = (a.transpose(1, 2) for a in (q, k, v))
    y = F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=mask, is_causal=causal, enable_gqa=q.shape[2] != k.shape[2]
    )
    return y.transpose(1, 2)


def _softmax(x: Array) -> Array:
    return torch.softmax(x, -1)
