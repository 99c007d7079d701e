"""What is known of a release excuses that, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from suites.campaign import generator, guarded, judge, substitutes, work
from suites.campaign.cases import Case, draw_case, realisations
from suites.campaign.engines import Engines, Realisation
from suites.campaign.known import KNOWN
from suites.campaign.operations import OPERATIONS
from suites.campaign.test_verdicts import judged
from suites.runner.machine import ROOT

KERAS_ON_TENSORFLOW = Realisation("keras", "tensorflow", "eager")
TORCH = Realisation("torch", "torch", "eager")


def test_a_known_inaccuracy_explains_no_wrong_number() -> None:
    """jnp.log1p is known to be 129 ulp off: a log1p that is off by a thousandth is an alarm still."""
    known = {"kind": "operation", "operation": "log1p", "dtype": "float64"}
    for ratio, alarms in ((8.0, 0), (1e9, 1), (None, 1)):
        outcome = {"jax-jax-eager": {"status": "exceeds", "ratio": ratio, "condition": "rounding"}}
        assert len(work.alarms({**known, "results": outcome})) == alarms
    outcome = {"torch-torch-eager": {"status": "exceeds", "ratio": 8.0, "condition": "rounding"}}
    assert len(work.alarms({**known, "results": outcome})) == 1


def limited() -> dict[tuple[str, str], tuple[str, Realisation]]:
    """What is known of an operation within an extent: the operation, and an engine where it is."""
    found = {}
    for operation in OPERATIONS:
        for realisation in realisations(draw_case(0, operation), compiled=False):
            for entry in KNOWN:
                if entry.extent and entry.covers(operation, realisation.id, "float32"):
                    found[operation, entry.why] = operation, realisation
    return found


def test_what_is_known_of_an_operation_excuses_no_gross_bug() -> None:
    """tf.sort is known for NaN: one that is wrong without is an alarm, and one that is as it is known is none."""
    pairs = list(limited().values())
    assert len(pairs) > 30
    for operation, realisation in pairs:
        cases = [case for seed in range(16) if small(case := draw_case(seed, operation))]
        found = [judged(case, realisation, spoilt(case.truth())) for case in cases]
        alarmed = [row for row in found if row.status == "exceeds" and row.condition != judge.AS_KNOWN]
        assert len(alarmed) >= len(found) / 4, (operation, realisation.id)
    case = replace(draw_case(0, "sort"), dtype="float32", options={"axis": 0})
    case.arrays["x"] = np.array([2, np.nan, 1, 3], np.float32)
    tensorflow = Realisation("tensorflow", "tensorflow", "eager")
    assert judged(case, tensorflow, case.arrays["x"]).condition == judge.AS_KNOWN
    assert judged(case, TORCH, case.arrays["x"]).condition == judge.ROUNDING
    case = replace(case, operation="elu", options={}, arrays={"x": np.array([-1e-8, 2], np.float32)})
    for wrong, condition in (([0, 2], judge.AS_KNOWN), ([0, 2.1], judge.ROUNDING)):  # a small one hides no large one
        assert judged(case, tensorflow, np.array(wrong)).condition == condition


def programs(engine: str) -> list[Path]:
    """What a user of the shim runs on an engine, and the programs beside it."""
    return [*(ROOT / "impls/shim/backends").glob(f"{engine}*.py"), *(ROOT / "impls").rglob("raw_*.py")]


@pytest.mark.parametrize("engine", ["torch", "jax", "tensorflow"])
def test_nobody_calls_what_is_known_to_be_wrong(engine: str, tmp_path: Path) -> None:
    """A pinned release that computes wrong numbers silently is guarded: neither the shim nor a program calls that."""
    wrong = guarded.found_wrong(engine)
    assert {"torch.nn.GroupNorm", "jax.nn.standardize", "tensorflow.nn.elu"} & set(wrong)
    assert [call for path in programs(engine) for call in guarded.wrong_calls(path, engine)] == []
    function = max(wrong)
    module, _, name = function.rpartition(".")
    path = tmp_path / "program.py"
    path.write_text(f"import {engine}\nimport {module} as m\n\ny = m.{name}(x)\n")
    assert guarded.wrong_calls(path, engine) == [f"{path}:4: {function}: {wrong[function]}"]


def small(case: Case) -> bool:
    """What takes no time, and has a result."""
    return sum(array.size for array in case.arrays.values()) < 3000 and case.truth().size > 0


def spoilt(truth: np.ndarray) -> np.ndarray:
    """Every number another one, by a thousandth or a hundred at least."""
    if truth.dtype.kind == "b":
        return np.asarray(~truth)
    with np.errstate(all="ignore"):
        return np.asarray(truth + 100 if truth.dtype.kind in "iu" else truth * 1.001 + 0.001)


def test_a_network_is_explained_by_a_layer_that_it_has() -> None:
    """Keras on torch is known for its average pools; without one the same alarm is new."""
    found = {"status": "exceeds", "ratio": 50.0, "phase": "forward", "condition": judge.AS_KNOWN}
    outcome = {"keras-torch-eager": found}
    network = {"kind": "network", "seed": 1, "dtype": "float32", "results": outcome}
    assert work.alarms({**network, "layers": ["Dense", "AveragePool2D"]}) == []
    assert work.alarms({**network, "layers": ["Dense", "MaxPool2D"]})
    for phase, condition, alarms in (("backward", judge.AS_KNOWN, 0), ("backward", judge.ROUNDING, 1)):
        outcome = {"jax-jax-jit": {"status": "exceeds", "ratio": 50.0, "phase": phase, "condition": condition}}
        known = {**network, "layers": ["Dense"], "activations": ["leaky_relu"], "results": outcome}
        assert len(work.alarms(known)) == alarms


@pytest.mark.full
def test_what_is_known_of_a_layer_reaches_as_far_as_the_engine_errs_and_no_farther() -> None:
    """torch's group norm is known to lose digits where the mean is large: one that is wrong elsewhere is an alarm."""
    layers = [{"kind": "GroupNorm", "name": "l0", "groups": 2, "epsilon": 1e-3, "from": [0]}]
    layers += [{"kind": "AveragePool2D", "name": "l1", "pool_size": 3, "strides": 2, "padding": "same", "from": [1]}]
    inputs = [{"shape": [4, 4, 4], "ids": 0, "fill": "normal"}]
    network = generator.Network(1, "float32", 2, inputs, layers, "mean_squared_error", ["SGD", {}])
    on_torch = substitutes.as_known(network, Realisation("torch", "torch", "eager"))
    on_keras = substitutes.as_known(network, Realisation("keras", "torch", "eager"))
    assert on_torch and on_keras and substitutes.as_known(network, Realisation("shim", "torch", "eager")) is None
    assert [layer["kind"] for layer in on_torch.layers] == ["GroupNorm of squares", "AveragePool2D"]
    assert on_keras.layers[1]["kind"] == "AveragePool2D of Keras on torch"
    engines, name = Engines(), "inference/output"
    try:
        arrays, truths = work.prepared(network, engines, 3)
        far = {**arrays, "x0": arrays["x0"] + 300}
        reach = [
            work.truths_of(each, given, engines, 3)["float32"].reach[name].norm
            for given in (arrays, far)
            for each in (network, on_torch)
        ]
        assert reach[1] < 5 * reach[0] and reach[3] > 20 * reach[2]
        other = work.truths_of(on_keras, arrays, engines, 3)["float32"].tensors[name]
    finally:
        engines.close()
    expected = truths["float32"].tensors[name]
    changed = np.abs(other - expected).max((0, 3)) > 1e-6  # an edge is counted twice below and on the right
    assert changed.tolist() == [[False, True], [True, True]]


def test_tensorflow_takes_what_a_last_sigmoid_was_given_for_logits() -> None:
    """Keras does so there alone, and only for the cross-entropy of that activation, at the end."""
    layers = [{"kind": "Dense", "name": "l0", "units": 2, "use_bias": True, "activation": "sigmoid", "from": [0]}]
    inputs = [{"shape": [3], "ids": 0, "fill": "normal"}]
    network = generator.Network(1, "float32", 2, inputs, layers, "sigmoid_cross_entropy", ["SGD", {}])
    known = substitutes.as_known(network, KERAS_ON_TENSORFLOW)
    assert known and known.layers[0]["activation"] is None
    assert substitutes.as_known(network, Realisation("keras", "jax", "jit")) is None
    assert substitutes.as_known(replace(network, loss="softmax_cross_entropy"), KERAS_ON_TENSORFLOW) is None
    after = {"kind": "Reshape", "name": "l1", "target_shape": [2, 1], "from": [1]}
    assert substitutes.as_known(replace(network, layers=[*layers, after]), KERAS_ON_TENSORFLOW) is None
    outcome = {"status": "exceeds", "ratio": 9.0, "phase": "loss", "condition": judge.AS_KNOWN}
    described = {"kind": "network", "seed": 1, "dtype": "float32", "layers": ["Dense"], "activations": ["sigmoid"]}
    for phase, alarms in (("loss", 0), ("forward", 1)):
        assert (
            len(work.alarms({**described, "results": {KERAS_ON_TENSORFLOW.id: {**outcome, "phase": phase}}})) == alarms
        )


def test_constants_of_float32_excuse_tensorflow_alone_and_not_much() -> None:
    """tf.nn.gelu of float64 is off by what float32 rounds of its constants: by more, or in the shim, is an alarm."""
    network = next(n for n in map(generator.draw, range(400)) if _activates(n, "gelu"))
    plain = next(n for n in map(generator.draw, range(400)) if n.dtype == "float64" and not _activates(n))
    tensors = {"inference/output": np.ones(1)}
    truths = {
        "float64": judge.Truth(tensors, {"inference/output": judge.Reach(1e-15, True)}),
        "float32": judge.Truth(tensors, {"inference/output": judge.Reach(1e-6, True)}),
    }

    def status(given: generator.Network, wrong: float, realisation: Realisation) -> str:
        return judge.verdict(work.rows(given, {"inference/output": np.ones(1) + wrong}, truths, realisation))

    shim = Realisation("shim", "tensorflow", "eager")
    assert status(network, 1e-9, KERAS_ON_TENSORFLOW) == "ok"
    assert status(network, 1e-5, KERAS_ON_TENSORFLOW) == "exceeds"
    assert status(network, 1e-9, shim) == "exceeds"
    assert status(plain, 1e-9, KERAS_ON_TENSORFLOW) == "exceeds"


def _activates(network: generator.Network, *names: str) -> bool:
    """Whether a network of float64 has one of these activations; without names: one of those with such constants."""
    found = {layer.get("activation") for layer in network.layers}
    return network.dtype == "float64" and bool(found & {*(names or work.FLOAT32_CONSTANTS)})
