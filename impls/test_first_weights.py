"""What programs draw before they train follows one law: equivalence starts every program from the same numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from impls import MODELS
from impls.shim.test_features import in_process

TOLD = """
import importlib, json
found = {}
for model in models:
    built = importlib.import_module(f"impls.{model}.{name}").build()
    if name == "shim":
        built = built.to(backend="numpy").get_weights()
    weights = built.state_dict() if hasattr(built, "state_dict") else built
    arrays = {key: np.asarray(value, float) for key, value in weights.items()}
    parts = {key: np.split(a, 4) if a.ndim == 1 and a.size % 4 == 0 else [a] for key, a in arrays.items()}  # gates
    found[model] = {key: (a.size, a.std(), [part.mean() for part in parts[key]]) for key, a in arrays.items()}
print(json.dumps(found))
"""
PAIRS = (("raw_tf", "raw_jax"), ("raw_jax", "shim"), ("raw_torch", "torch_native"))
BACKENDS = {
    "raw_tf": "tensorflow", "raw_jax": "jax", "shim": "numpy", "raw_torch": "torch", "torch_native": "torch",
}  # fmt: skip
OWN = {  # an implementation's weights that have a law of their own, by the start of their names
    ("transformer", "shim", ""): "the shim's defaults, and not GPT-2's deviation of 0.02",
    ("rnn", "raw_tf", "lstm/recurrent_kernel"): "Glorot's law: TensorFlow without Keras draws no orthogonal matrix",
    ("rnn", "raw_torch", "lstm.bias_hh_l0"): "zeros: of PyTorch's two biases it trains one",
    ("rnn", "raw_tf", "lstm/bias"): "zeros, as Hochreiter and Schmidhuber have it: the forget gate starts half open",
}
FEW = 16  # numbers tell no law
DEVIATIONS = 6  # of a sample's spread; the programs' draws have no seed in common


def laws(name: str) -> dict[str, dict[str, Any]]:
    """Size, deviation and means (a vector's by its quarters) of every weight of every model, by one implementation."""
    models = [model for model, spec in MODELS.items() if name not in spec.absent]
    return dict(json.loads(in_process(BACKENDS[name], f"name, models = {name!r}, {models!r}\n{TOLD}")[-1]))


def has_own_law(model: str, implementation: str, name: str) -> bool:
    return any((model, implementation) == place[:2] and name.startswith(place[2]) for place in OWN)


@pytest.mark.full
@pytest.mark.catalogue
def test_programs_begin_with_the_same_law() -> None:
    """A fan that is counted otherwise, another gate that starts open, another deviation: no step would show it."""
    found = {name: laws(name) for name in BACKENDS}
    compared = 0
    for one, other in PAIRS:
        for model in found[one].keys() & found[other].keys():
            for name, (size, spread, means) in found[one][model].items():
                if size < FEW or any(has_own_law(model, each, name) for each in (one, other)):
                    continue
                _, spread_of_other, means_of_other = found[other][model][name]
                room = DEVIATIONS / size**0.5
                place = f"{model}, {name}: {one} and {other}"
                assert abs(spread - spread_of_other) <= room * max(spread, spread_of_other), place
                for mean, mean_of_other in zip(means, means_of_other, strict=True):
                    assert abs(mean - mean_of_other) <= 3 * room * max(spread, spread_of_other), place
                compared += 1
    assert compared > 40, compared
