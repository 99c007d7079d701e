"""The first layer that departs is named, with the phase, on synthetic steps in which all behind it departs too."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from impls import MODELS
from impls.specs import Layer
from suites.equivalence.compare import comparisons, exceeding
from suites.equivalence.localise import FIT, Location, chain, locate
from suites.equivalence.test_equivalence import command
from suites.records.run import Cell
from suites.runner import plan
from suites.runner.machine import ROOT
from suites.runner.workers import Arrays

CNN = MODELS["cnn"].at("small")
CHAIN_OF_SEED = """
activation/hidden activation/logits loss cotangent/logits gradient/logits/kernel gradient/logits/bias cotangent/hidden
gradient/hidden/kernel gradient/hidden/bias inference/hidden inference/logits inference/prediction losses
slot/m/hidden/kernel slot/m/hidden/bias slot/m/logits/kernel slot/m/logits/bias
slot/v/hidden/kernel slot/v/hidden/bias slot/v/logits/kernel slot/v/logits/bias
weight/hidden/kernel weight/hidden/bias weight/logits/kernel weight/logits/bias
"""
CELL = Cell("cnn", "raw_torch", "torch", "eager", "cpu", "float64")
ORACLE = plan.oracle(CELL)


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
    assert location.value == ("activation/pool1", (1, 2), 6.5, 6.0)
    text = str(location)
    for part in ("pool1, forward, step 1", "activation/pool1[1, 2] is 6.5, expected 6", "1 more differ: loss"):
        assert part in text


def test_the_birth_of_a_nan_is_named() -> None:
    """Behind the first NaN everything is one: only where it was born helps."""
    expected = truth(CNN)
    found = dict(expected)
    for name, array in expected.items():
        if "cotangent" in name or "gradient" in name:
            found[name] = array * np.nan
    location = located(found, expected)
    assert (location.layer, location.phase) == ("loss", "loss")
    assert "cotangent/logits[0, 0] is nan, expected 1: not finite" in str(location)


def test_a_nan_behind_another_departure_has_a_place_of_its_own() -> None:
    """A small slip comes first and the NaN that stopped the training later: both have to be told."""
    expected = truth(CNN)
    found = {name: array.copy() for name, array in expected.items()}
    found["activation/bn1"] *= 1.01
    found["gradient/conv2/kernel"][1, 1] = np.inf
    found["cotangent/pool1"][:] = np.nan
    location = located(found, expected)
    assert (location.layer, location.phase) == ("bn1", "forward")
    birth = "first born in gradient/conv2/kernel[1, 1]: inf (layer conv2, phase backward)"
    assert birth in str(location) and birth in location.report("")


def test_a_report_tells_everything() -> None:
    """Whoever reads it did not write the suite: what, where, how far, by which bound and how to see it alone."""
    expected = truth(CNN)
    rows = comparisons(CELL, ORACLE, {**expected, "loss": expected["loss"] + 1}, expected, dict.fromkeys(expected, 0.1))
    location = locate(CNN, exceeding(rows), {**expected, "loss": expected["loss"] + 1}, expected, "step 1")
    assert location is not None
    text = location.report("nox -s tests -- -k this")
    for part in (
        *("cnn", "raw_torch on torch, eager, cpu, float64", "shim on numpy, eager, cpu, float64"),
        *("layer loss, phase loss, at step 1", "loss[0, 0] is 2, expected 1"),
        *("bound         1.0e-01: rounding errors of every operation", "nox -s tests -- -k this"),
    ):
        assert part in text


@pytest.mark.parametrize(
    ("model", "stage"),
    [
        ("transformer", "fit"),
        *(pytest.param("cnn", stage, marks=pytest.mark.full) for stage in ("gradients", "trajectory", "float32_step")),
        pytest.param("transformer", "float32_step", marks=pytest.mark.full),
    ],
)
@pytest.mark.one_in(8)
def test_the_command_of_a_failed_test_selects_it_alone(model: str, stage: str) -> None:
    """A command that runs nothing, or everything, is worse than none."""
    words = shlex.split(command(replace(CELL, model=model), stage))
    assert words[:4] == ["nox", "-s", "tests", "--"]
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *words[4:]], cwd=ROOT, capture_output=True, text=True
    )
    (test,) = [line for line in collected.stdout.splitlines() if "::" in line]
    assert test.startswith(f"suites/equivalence/test_equivalence.py::test_{stage}[{model}-raw_torch-torch-float")


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
