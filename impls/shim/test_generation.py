"""A sequence that goes on from a cache has the outputs that it has when it is read again from its start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim.key_value_cache import KeyValueCache
from impls.shim.test_features import in_process

PIECES = ((0, 4), (4, 5), (5, 9), (9, 12))  # of a sequence of 12: a prompt, one place, several


def gpt(backend: str = "numpy", **options: Any) -> shim.Model:
    ids, table = shim.Input((None,)), shim.Embedding(11, 8, name="token")
    x = shim.PositionEmbedding(12, name="position")(table(ids))
    for name in ("attention", "again"):  # two: each has keys and values of its own
        attention = shim.MultiHeadAttention(4, 2, causal=True, name=name, **options)
        x = shim.Add()([x, attention(shim.RMSNorm()(x))])
    x = shim.Dense(8, activation="gelu")(shim.Dropout(0.5)(x))
    return shim.Model(ids, shim.TiedHead(table)(shim.LayerNorm()(x)), backend=backend, dtype="float64")


def distance(model: shim.Model) -> float:
    """Of the outputs in pieces to those at once; 1 for outputs that are all wrong."""
    x = np.random.default_rng(0).integers(0, 11, (3, 12))
    cache, truth = shim.KeyValueCache(), model.predict(x)
    found = np.concatenate([model.extend(x[:, start:end], cache) for start, end in PIECES], 1)
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


ATTENTIONS: list[dict[str, Any]] = [{}, {"num_key_value_heads": 2, "rope": 10.0}]


@pytest.mark.parametrize("options", ATTENTIONS)
def test_a_sequence_in_pieces_is_the_sequence(options: dict[str, Any]) -> None:
    assert distance(gpt(**options)) < 1e-14


@pytest.mark.full
@pytest.mark.catalogue
@pytest.mark.parametrize("backend", ["torch", "jax", "tensorflow"])
def test_in_pieces_on_every_engine(backend: str) -> None:
    code = (
        "from impls.shim.test_generation import *\nprint(max(distance(gpt(backend, **o)) for o in ATTENTIONS) < 1e-14)"
    )
    assert in_process(backend, code) == ["True"]


@pytest.mark.parametrize("attribute", ["places", "visible"])
def test_a_cache_that_forgets_is_noticed(attribute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions that start again at 0, and queries that see what comes after them, give other outputs."""
    if attribute == "places":
        monkeypatch.setattr(KeyValueCache, "places", property(lambda self: 0, lambda self, value: None), raising=False)
    else:
        monkeypatch.setattr(KeyValueCache, "visible", lambda self, B, steps, like: None)
    assert distance(gpt()) > 1e-3


def test_what_cannot_go_on_is_refused() -> None:
    """An LSTM would start from zeros at each piece, and a text would be wrong without a word."""
    ids = np.zeros((1, 2), int)
    table = shim.Embedding(3, 4)
    recurrent = shim.Sequential(
        [table, shim.LSTM(4, name="lstm", return_sequences=True)], inputs=(None,), backend="numpy"
    )
    with pytest.raises(ValueError, match=r"layer 'lstm' \(LSTM\) can't go on from a cache"):
        recurrent.extend(ids, shim.KeyValueCache())
    attention = shim.MultiHeadAttention(2, 2, name="all")
    both_ways = shim.Sequential([shim.Embedding(3, 4), attention], inputs=(None,), backend="numpy")
    with pytest.raises(ValueError, match=r"layer 'all' .*: a cache is for causal attention to itself"):
        both_ways.extend(ids, shim.KeyValueCache())
    with pytest.raises(ValueError, match="layer 'position' has 12 positions, a sequence went on to 13"):
        model, cache = gpt(), shim.KeyValueCache()
        model.extend(np.zeros((1, 12), int), cache)
        model.extend(np.zeros((1, 1), int), cache)
