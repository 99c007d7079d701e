"""Weights of a Keras model by canonical names, on stand-ins for its layers: no Keras is loaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from impls import layer_kinds
from impls.adapters.keras_layers import holding
from impls.layer_kinds import Kind, Layer, nothing

LAYERS = [Layer("norm", "rmsnorm", {"gamma": (3,)})]


class Variable:
    def __init__(self, name: str) -> None:
        self.name, self.path, self.value = name, "norm/" + name, np.zeros(3)

    def assign(self, value: np.ndarray) -> None:
        self.value = value


def model(weight: Variable) -> Any:
    norm = SimpleNamespace(name="norm", weights=[weight])
    return SimpleNamespace(_flatten_layers=lambda include_self: [norm])


def test_a_weight_that_keras_calls_otherwise_is_declared_with_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new kind of layer is one entry in one file, also where Keras's name of a weight is not the canonical one."""
    scale = Variable("scale")
    monkeypatch.setitem(layer_kinds.KINDS, "rmsnorm", Kind({}, nothing))
    with pytest.raises(
        ValueError, match=r"no weight norm/gamma; it has norm/scale: .* into keras= of the kind, in KINDS"
    ):
        holding(model(scale), LAYERS, {"norm/gamma": np.ones(3)})
    monkeypatch.setitem(layer_kinds.KINDS, "rmsnorm", Kind({}, nothing, keras={"scale": "gamma"}))
    assert holding(model(scale), LAYERS, {"norm/gamma": np.ones(3)}) == {"norm/gamma": scale}
    assert scale.value.tolist() == [1.0, 1.0, 1.0]
