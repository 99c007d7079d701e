"""How alike the names of two layers are, whatever framework they were named for."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

SAME = {
    "query": "q", "key": "k", "value": "v", "queries": "q", "keys": "k", "values": "v",
    "out": "o", "output": "o", "proj": "o", "projection": "o",
    "reverse": "backward", "rev": "backward",
    "attn": "attention", "att": "attention", "mha": "attention", "self": "attention",
    "emb": "embedding", "embed": "embedding", "embeddings": "embedding", "tok": "token", "wte": "token",
    "wpe": "position", "pos": "position", "positional": "position",
    "conv1d": "conv", "conv2d": "conv", "conv3d": "conv", "convolution": "conv", "cv": "conv",
    "fc": "dense", "linear": "dense", "lin": "dense", "mlp": "ffn", "intermediate": "up", "ln": "norm",
    "layernorm": "norm", "layernormalization": "norm", "bn": "norm", "batchnorm": "norm",
    "batchnormalization": "norm",
    "normalization": "norm", "gn": "norm", "shortcut": "skip", "downsample": "skip", "residual": "skip",
    "head": "logits", "classifier": "logits", "predictions": "logits", "depthwise": "dw", "pointwise": "pw",
}  # fmt: skip
EMPTY = {"l", "layer", "layers", "cell", "forward", "model", "net", "module", "self", "block", "blocks"}
PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


@cache
def words(name: str) -> tuple[str, ...]:
    """`encoder.layers.0.self_attn.q_proj` as words and numbers in one spelling."""
    found = [piece.lower() for piece in PIECE.findall(name)]
    return tuple(SAME.get(word, word) for word in found if word not in EMPTY)


@cache
def likeness(a: str, b: str) -> float:
    """0 to 1: the share of words that both names have (Dice); the last words count twice."""
    ours, theirs = Counter(words(a)), Counter(words(b))
    ours.update(words(a)[-2:])
    theirs.update(words(b)[-2:])
    total = sum(ours.values()) + sum(theirs.values())
    return 2 * sum((ours & theirs).values()) / total if total else 0.0
