"""The first layer that departs is named, with the phase, on synthetic steps in which all behind it departs too."""

from __future__ import annotations

import numpy as np
import pytest

from impls import MODELS
from impls.specs import Layer
from suites.equivalence.compare import comparisons, exceeding
from suites.equivalence.localise import FIT, Location, chain, locate
from suites.records import Cell
from suites.workers import Arrays

CNN = MODELS["cnn"].at("small")
CHAIN_OF_SEED = """
activation/hidden activation/logits loss cotangent/logits gradient/logits/kernel gradient/logits/bias cotangent/hidden
gradient/hidden/kernel gradient/hidden/bias inference/hidden inference/logits inference/prediction losses
slot/m/hidden/kernel slot/m/hidden/bias slot/m/logits/kernel slot/m/logits/bias
slot/v/hidden/kernel slot/v/hidden/bias slot/v/logits/kernel slot/v/logits/bias
weight/hidden/kernel weight/hidden/bias weight/logits/kernel weight/logits/bias
"""
CELL = Cell("cnn", "raw_torch", "torch", "eager", "cpu", "float64")


def truth(layers: tuple[Layer, ...]) -> Arrays:
    return {link.tensor: np.arange(1.0, 7.0).reshape(2, 3) for link in chain(layers)}


def located(found: Arrays, expected: Arrays, moment: str = "step 1") -> Location:
    location = locate(CNN, exceeding(comparisons(CELL, CELL, found, expected)), found, expected, moment)
    assert location is not None
    return location


def from_on(tensor: str) -> tuple[Arrays, Arrays]:
    """Arrays that agree up to `tensor` and depart from there on, as they do when an error travels."""
    expected = truth(CNN)
    names = list(expected)
    found = {name: array * (1 + 1e-6 * (names.index(name) >= names.index(tensor))) for name, array in expected.items()}
    return found, expected


def test_the_chain_is_the_order_in_which_an_error_travels() -> None:
    """Forward from the inputs, backward from the loss, statistics before slots before weights."""
    assert [link.tensor for link in chain(MODELS["seed"].at("small"))] == CHAIN_OF_SEED.split()
    order = [link.tensor for link in chain(CNN)]
    assert order.index("weight/bn2/moving_variance") < order.index("slot/m/conv1/kernel")
    assert order.index("cotangent/relu2") < order.index("gradient/bn2/gamma") < order.index("cotangent/conv2")


@pytest.mark.parametrize(
    ("tensor", "layer", "phase"),
    [
        ("activation/conv1", "conv1", "forward"),
        ("activation/bn2", "bn2", "forward"),
        ("loss", "loss", "loss"),
        ("cotangent/logits", "loss", "loss"),
        ("gradient/logits/bias", "logits", "backward"),
        ("cotangent/flatten", "logits", "backward"),
        ("cotangent/relu1", "pool1", "backward"),
        ("gradient/conv1/kernel", "conv1", "backward"),
        ("inference/bn1", "bn1", "forward"),
        ("inference/prediction", "prediction", "forward"),
        ("weight/bn1/moving_variance", "bn1", "state"),
        ("slot/m/conv1/kernel", "optimizer", "optimizer"),
        ("weight/logits/bias", "optimizer", "optimizer"),
    ],
)
def test_the_first_departure_names_layer_and_phase(tensor: str, layer: str, phase: str) -> None:
    """A layer blamed for what another one broke sends its reader to the wrong file."""
    location = located(*from_on(tensor))
    assert (location.layer, location.phase, location.tensor) == (layer, phase, tensor)


def test_everything_that_departs_is_collected_and_the_worst_element_is_shown() -> None:
    """One look has to tell how far a mistake spread, and where to look first."""
    expected = truth(CNN)
    found = {name: array.copy() for name, array in expected.items()}
    found["activation/pool1"][1, 2] += 0.5
    found["activation/pool1"][0, 0] += 0.1
    found["loss"][:] += 1
    location = located(found, expected)
    assert location.departed == ("activation/pool1", "loss")
    assert (location.index, location.found, location.expected) == ((1, 2), 6.5, 6.0)
    text = str(location)
    for part in ("pool1, forward, step 1", "activation/pool1[1, 2] is 6.5, expected 6", "1 more depart: loss"):
        assert part in text


def test_the_birth_of_a_nan_is_named() -> None:
    """Behind the first NaN everything is one: only where it was born helps."""
    expected = truth(CNN)
    found = {
        name: array * (np.nan if "cotangent" in name or "gradient" in name else 1) for name, array in expected.items()
    }
    location = located(found, expected)
    assert (location.layer, location.phase) == ("loss", "loss")
    assert "is nan" in str(location) and "first value that is not finite" in str(location)


def test_a_missing_tensor_and_one_of_another_shape_depart() -> None:
    """An absent slot must not count as an equal one."""
    expected = truth(CNN)
    found = dict(expected)
    del found["slot/m/bn1/gamma"]
    assert "expected (2, 3)" in str(located(found, expected))
    found = {**expected, "activation/flatten": np.ones((3, 2))}
    assert "has shape (3, 2), expected (2, 3)" in str(located(found, expected))


def test_what_only_the_programs_own_loop_shows_lies_in_the_data() -> None:
    """Where every single step is right, the loop feeds other data, or averages otherwise."""
    location = located({"losses": np.ones(2)}, {"losses": np.full(2, 2.0)}, FIT)
    assert (location.layer, location.phase) == ("training", "data")


def test_equal_arrays_have_no_location() -> None:
    expected = truth(CNN)
    assert locate(CNN, exceeding(comparisons(CELL, CELL, expected, expected)), expected, expected, "step 1") is None
