"""A campaign: the same networks for ever, verdicts that can fail, a store that survives, workers that die."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suites.campaign import (
    against,
    findings,
    generator,
    guarded,
    judge,
    runner,
    sabotage,
    shapes,
    shrink,
    store,
    substitutes,
    summary,
    values,
    work,
)
from suites.campaign.__main__ import BAD_INPUT, main
from suites.campaign.cases import Case, draw_case, realisations, verdict
from suites.campaign.engines import Engines, Realisation
from suites.campaign.known import KNOWN
from suites.campaign.operations import OPERATIONS
from suites.campaign.writers import NotWritten, jax, keras, torch
from suites.runner.machine import ROOT
from suites.runner.workers import Limits, Pool

KERAS_ON_TENSORFLOW = Realisation("keras", "tensorflow", "eager")
TORCH = Realisation("torch", "torch", "eager")


# The generator


def test_a_seed_gives_the_same_network_for_ever() -> None:
    """A finding is reported by its seed: a draw that changes without a new VERSION would send a reader elsewhere."""
    text = json.dumps([generator.draw(seed).as_dict() for seed in range(200)])
    assert generator.VERSION == 3
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DRAWN


DRAWN = "0b62cc8ee34da6fc"


def test_every_network_fits_together_and_everything_is_drawn() -> None:
    """Layers that no draw has are layers that nobody tests."""
    networks = [generator.draw(seed) for seed in range(400)]
    for network in networks:
        shapes.shapes(network)  # raises for one that does not fit
    kinds = {layer["kind"] for network in networks for layer in network.layers}
    assert kinds >= {*generator.TRAINED, "MaxPool2D", "AveragePool2D", "Dropout", "Add", "Concatenate", "Reshape"}
    assert {network.loss for network in networks} == set(generator.LOSSES)
    assert {network.optimizer[0] for network in networks} == {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad"}
    assert {len(network.inputs) for network in networks} == {1, 2}


def test_no_norm_is_drawn_over_one_number() -> None:
    """What one number differs from its mean by is rounding: every engine would be another, and none of them wrong."""
    seen = set()
    for network in map(generator.draw, range(400)):
        extents = shapes.shapes(network)
        for layer in network.layers:
            *places, channels = extents[layer["from"][0]]
            size = math.prod(places) * channels
            over = {"BatchNorm": network.batch * size // channels, "LayerNorm": channels}
            if layer["kind"] == "GroupNorm":
                over["GroupNorm"] = size // layer["groups"]
            if layer["kind"] in over:
                seen.add(layer["kind"])
                assert over[layer["kind"]] > 1, (network.seed, layer)
    assert seen == {"BatchNorm", "LayerNorm", "GroupNorm"}


def test_networks_are_written_as_programs() -> None:
    """What a writer can't say it refuses by name; all else is Python."""
    written = 0
    for seed in range(60):
        network = generator.draw(seed)
        for writer in (keras, torch, jax):
            try:
                text = writer.write(network)
            except NotWritten as reason:
                assert str(reason)
                continue
            compile(text, "<network>", "exec")
            written += 1
    assert written > 100


def test_every_operation_draws_what_its_truth_and_bound_take() -> None:
    """An operation whose reference fails would be judged by nobody."""
    seen = set()
    for seed in range(900):
        case = draw_case(seed)
        if case.operation in seen:
            continue
        seen.add(case.operation)
        truth = case.truth()
        assert case.bound(truth).shape == truth.shape, case.operation
        assert realisations(case)
    assert len(seen) > 0.9 * len(OPERATIONS)


# The verdict


def case_of_sum() -> Case:
    return Case(0, "sum", "float32", {"x": np.arange(1.0, 101.0).reshape(10, 10)}, {"axis": 0})


@pytest.mark.parametrize(
    "change, status",
    [(0.0, "ok"), (1e-6, "ok"), (0.1, "exceeds"), (math.nan, "exceeds"), (math.inf, "exceeds")],
)
def test_an_answer_is_judged_by_its_bound(change: float, status: str) -> None:
    """Rounding passes; a wrong number, a NaN and an infinity that are not in the truth do not."""
    case = case_of_sum()
    truth = case.truth()
    found = np.array(truth, np.float64)
    found[3] += change
    assert verdict(case, TORCH, found, truth, case.bound(truth)).status == status


def test_what_float32_cannot_hold_is_undecided_where_keras_rounds_to_it() -> None:
    """Keras on JAX may take float64 in float32: its infinity beyond 3.4e38 is no alarm, another number below it is."""
    case = Case(0, "cosh", "float64", {"x": np.array([500.0])}, {})
    on_jax = Realisation("keras", "jax", "eager")
    truth = case.truth()
    assert verdict(case, on_jax, np.array([math.inf]), truth, case.bound(truth)).status == "undecided"
    small = Case(0, "cosh", "float64", {"x": np.array([50.0])}, {})
    truth = small.truth()
    assert verdict(small, on_jax, np.array([math.inf]), truth, small.bound(truth)).status == "exceeds"
    assert verdict(small, on_jax, np.asarray(truth, float) * 1.0001, truth, small.bound(truth)).status == "exceeds"


def test_float32_of_an_argument_moves_what_is_right() -> None:
    """Keras on JAX rounds float64 to float32: near 1 that moves arccos by more than any error of it."""
    case = replace(draw_case(0, "arccos"), dtype="float64", arrays={"x": np.array([0.5, 1 - 3e-8])})
    near, keras_on_jax = np.arccos(case.arrays["x"].astype(np.float32)), Realisation("keras", "jax", "eager")
    assert judged(case, keras_on_jax, near).status == "ok"
    assert judged(case, keras_on_jax, near * 1.001).status == "exceeds"


def test_a_half_that_rounding_can_reach_is_undecided() -> None:
    """round(0.285, 2) in float32 is 0.28 or 0.29, as 100 x is rounded: no engine is wrong there."""
    half = float(np.float32(0.285))
    case = Case(0, "round_decimals", "float32", {"x": np.array([half, 0.7031])}, {})
    truth = case.truth()
    bound = case.bound(truth)
    assert verdict(case, TORCH, np.array([0.57 - truth[0], 0.7]), truth, bound).status == "ok"
    assert verdict(case, TORCH, np.array([truth[0], 0.71]), truth, bound).status == "exceeds"


def test_nan_has_to_be_where_it_is_expected() -> None:
    """A NaN that is swallowed is as wrong as one that comes from nowhere."""
    case = Case(0, "maximum", "float32", {"x": np.array([1.0, math.nan]), "y": np.array([2.0, 3.0])}, {})
    truth = case.truth()
    assert verdict(case, TORCH, np.array([2.0, math.nan]), truth, case.bound(truth)).status == "ok"
    assert verdict(case, TORCH, np.array([2.0, 3.0]), truth, case.bound(truth)).status == "exceeds"


def test_a_tensor_at_a_kink_is_undecided() -> None:
    """Where a decision lies within rounding's reach no bound is derived: neither a pass nor an alarm."""
    tensors = {"gradient/w": np.ones(4)}
    found = {"gradient/w": np.zeros(4)}
    smooth = judge.Truth(tensors, {"gradient/w": judge.Reach(1e-6, True)})
    kink = judge.Truth(tensors, {"gradient/w": judge.Reach(1e-6, False)})
    assert judge.verdict(judge.judge(found, smooth, "float32")) == "exceeds"
    assert judge.verdict(judge.judge(found, kink, "float32")) == "undecided"


def test_a_tensor_whose_errors_leave_the_range_of_its_type_is_undecided() -> None:
    """Rounding may make infinity of it, though what is right is a number of ordinary size."""
    truth = judge.Truth({"gradient/w": np.ones(4)}, {"gradient/w": judge.Reach(1e39, True)})
    found = {"gradient/w": np.full(4, np.inf)}
    assert judge.verdict(judge.judge(found, truth, "float32")) == "undecided"
    assert judge.verdict(judge.judge(found, truth, "float64")) == "exceeds"


def test_what_comes_after_numbers_beyond_the_range_is_undecided() -> None:
    """A loss beyond float32 makes NaN of every weight that is updated by it; outputs, which come before, are judged."""
    names = ("inference/output", "losses", "weight/l0/kernel")
    tensors = {name: np.ones(4) for name in names} | {"losses": np.array([1.0, 1e200])}
    truth = judge.Truth(tensors, {name: judge.Reach(1e-6, True) for name in names})
    found = {name: np.full(4, np.nan) for name in names} | {"losses": np.array([1.0, np.inf])}
    rows = judge.judge(found, truth, "float32")
    assert [row.status for row in rows] == ["exceeds", "undecided", "undecided"]
    assert [row.status for row in judge.judge({"weight/l0/kernel": np.zeros(4)}, truth, "float32")] == ["exceeds"]


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


def judged(case: Case, realisation: Realisation, found: np.ndarray) -> judge.Row:
    truth = case.truth()
    return verdict(case, realisation, found, truth, case.bound(truth))


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


# Shrinking and programs


def test_a_network_shrinks_to_the_layer_that_fails() -> None:
    """A report of twelve layers is read by nobody."""
    network = next(n for n in map(generator.draw, range(200)) if len(n.layers) > 8 and _has(n, "LayerNorm"))
    small = shrink.shrink(network, shrink.smaller_networks, lambda candidate: _has(candidate, "LayerNorm"))
    assert len(small.layers) == 1
    assert small.batch == 1
    shapes.shapes(small)


def _has(network: generator.Network, kind: str) -> bool:
    return any(layer["kind"] == kind for layer in network.layers)


def test_a_case_shrinks_to_few_numbers() -> None:
    """Of a thousand numbers one is wrong: that one is left."""
    x = np.ones(1000)
    x[617] = -3.25
    case = Case(0, "relu", "float32", {"x": x}, {})
    small = shrink.shrink(case, shrink.smaller_cases, lambda candidate: bool((candidate.arrays["x"] < 0).any()))
    assert small.arrays["x"].tolist() == [-3.0]
    small = shrink.shrink(case, shrink.smaller_cases, lambda candidate: candidate.arrays["x"].size > 512)
    assert small.arrays["x"].size == 513


# The store and the runner


def record(seed: int) -> dict[str, Any]:
    return {"kind": "operation", "seed": seed, "operation": "sum", "dtype": "float32", "results": {}}


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    """Whatever kills the process, what was judged before is there, and the next line is whole again."""
    path = tmp_path / "store.jsonl"
    with store.Store(path) as kept:
        assert kept.add(record(1)) and kept.add(record(2)) and not kept.add(record(2))
    path.write_bytes(path.read_bytes() + b'{"kind": "operation", "se')
    assert [each["seed"] for each in store.read(path)] == [1, 2]
    with store.Store(path) as kept:
        assert kept.add(record(3))
    assert [each["seed"] for each in store.read(path)] == [1, 2, 3]


def test_a_spoilt_line_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "store.jsonl"
    path.write_text('{"kind": "operation", "seed": 1}\nnonsense\n')
    with pytest.raises(store.StoreError, match=r"store\.jsonl:2"):
        list(store.read(path))


def test_two_stores_merge(tmp_path: Path) -> None:
    """What both hold counts once."""
    for name, seeds in (("a", (1, 2)), ("b", (2, 3))):
        with store.Store(tmp_path / name) as kept:
            for seed in seeds:
                kept.add(record(seed))
    assert store.merge(tmp_path / "a", [tmp_path / "b"]) == 1
    assert [each["seed"] for each in store.read(tmp_path / "a")] == [1, 2, 3]


def pretend(task: runner.Task, only: tuple[str, ...]) -> list[dict[str, Any]]:
    """In the place of the engines: as long as a short task."""
    time.sleep(0.02)
    return [{**record(seed), "kind": task[0], "pid": os.getpid(), "layers": []} for seed in task[1]]


@pytest.fixture
def thread() -> Iterator[Any]:
    client = runner.connect("", 1)
    yield client
    client.close()


def test_a_campaign_goes_on_where_it_was_stopped(tmp_path: Path, thread: Any) -> None:
    """Nothing is judged twice, and nothing is left out."""
    path = tmp_path / "store.jsonl"
    with store.Store(path) as kept:
        assert runner.run(runner.Plan(0, 3, 90), kept, thread, do=pretend).records == 93
    with store.Store(path) as kept:
        assert runner.run(runner.Plan(0, 5, 130), kept, thread, do=pretend).records == 42
    found = [store.key(each) for each in store.read(path)]
    assert len(found) == len(set(found)) == 135


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--backend", "tensrflow"], "unknown backend 'tensrflow': known are torch, jax, tensorflow"),
        (["--networks", "-1"], "--networks is at least 0"),
        (["--workers", "0"], "--workers is at least 1"),
        (["--resume"], "there is no store"),
        (["--against", "jaxx==1"], "--against 'jaxx==1' names no release of an engine"),
        (["--against", "jax==0.9.2", "--backend", "torch"], "name two engines"),
        (["--merge", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], says: str, tmp_path: Path, capsys: Any) -> None:
    assert main([*arguments, "--results", str(tmp_path)]) == BAD_INPUT
    assert says in capsys.readouterr().err


# With engines


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    pytest.importorskip("torch")
    running = Engines()
    yield running
    running.close()


@pytest.fixture(scope="module")
def oracle() -> Iterator[Engines]:
    running = Engines()
    yield running
    running.close()


def test_networks_agree_with_themselves_and_not_with_another_kernel(oracle: Engines) -> None:
    """The oracle, its bounds and the verdict go together; a kernel off by a billionth is seen."""
    shim = Realisation("shim", "numpy", "eager")
    dense = [n for n in map(generator.draw, range(40)) if _has(n, "Dense") and n.dtype == "float64"][:2]
    for network in dense:
        arrays, truths = work.prepared(network, oracle)
        found = work.observe(network, arrays, shim, oracle)
        assert judge.verdict(work.rows(network, found, truths, shim)) == "ok"
        name = next(name for name in arrays if name.endswith("kernel"))
        spoilt = {**arrays, name: arrays[name] * (1 + 1e-9)}
        wrong = work.observe(network, spoilt, shim, oracle)
        assert judge.verdict(work.rows(network, wrong, truths, shim)) != "ok"


def test_equal_examples_may_be_rounded_each_by_itself(oracle: Engines) -> None:
    """A batch norm of a batch of equal examples is made of rounding: 1e-14 is no alarm there, a millionth is one."""
    layers = [
        {"kind": "Dense", "name": "l0", "units": 2, "use_bias": True, "activation": None, "from": [0]},
        {"kind": "BatchNorm", "name": "l1", "momentum": 0.9, "epsilon": 1e-5, "from": [1]},
        {"kind": "BatchNorm", "name": "l2", "momentum": 0.9, "epsilon": 1e-3, "from": [2]},
    ]
    inputs = [{"shape": [8], "ids": 0, "fill": "equal"}]
    optimizer = ["SGD", {"learning_rate": 0.1}]
    network = generator.Network(5, "float64", 5, inputs, layers, "mean_squared_error", optimizer)
    arrays, truths = work.prepared(network, oracle)
    shim, name = Realisation("shim", "numpy", "eager"), "weight/l1/gamma"
    found = work.observe(network, arrays, shim, oracle)
    for wrong, status, condition in ((1e-14, "ok", judge.APART), (1e-6, "exceeds", judge.ROUNDING)):
        spoilt = {**found, name: found[name] + wrong}
        strict = work.worst(work.rows(network, spoilt, truths, shim))
        assert strict.status == "exceeds"
        row = work.judge_again(network, arrays, spoilt, strict, shim, oracle)
        assert (row.status, row.condition) == (status, condition)


@pytest.mark.full
def test_norms_of_tensorflow_are_another_way_to_round_and_no_other_numbers(oracle: Engines) -> None:
    """What exceeds its bound is judged by them: were they wrong, they would excuse what is wrong alike."""
    layers = [
        {"kind": "BatchNorm", "name": "l0", "momentum": 0.9, "epsilon": 1e-3, "from": [0]},
        {"kind": "LayerNorm", "name": "l1", "epsilon": 1e-3, "from": [1]},
        {"kind": "GroupNorm", "name": "l2", "groups": 2, "epsilon": 1e-3, "from": [2]},
    ]
    inputs = [{"shape": [4, 4], "ids": 0, "fill": "normal"}]
    network = generator.Network(1, "float64", 3, inputs, layers, "mean_squared_error", ["SGD", {}])
    known = substitutes.as_known(network, KERAS_ON_TENSORFLOW)
    assert known and all(layer["kind"].endswith("of TensorFlow") for layer in known.layers)
    arrays, truths = work.prepared(network, oracle, 3)
    found = work.truths_of(known, arrays, oracle, 3)["float64"].tensors
    rows = judge.judge(found, truths["float64"], "float64")
    assert len(rows) == len(found) and {row.status for row in rows} == {"ok"}, rows


@pytest.mark.full
def test_operations_of_torch_are_judged(engines: Engines) -> None:
    """Released torch computes what NumPy computes, within bounds that most answers use a part of."""
    records = work.judge_operations(range(160), engines, frozenset(["torch"]))
    assert sum(len(one["results"]) for one in records) > 200
    assert [(one["operation"], found) for one in records if (found := work.alarms(one))] == []


SABOTAGE = """
import torch
exact = torch.cumsum
def cumsum(x, dim):
    y = exact(x, dim=dim)
    return torch.where(torch.arange(y.shape[-1]) == 512, y + 1, y) if y.shape[-1] > 512 else y
torch.cumsum = cumsum
"""


@pytest.mark.full
@pytest.mark.catalogue
def test_a_kernel_that_fails_above_a_size_is_found_and_made_small(engines: Engines) -> None:
    """A fault of the engine itself, from 513 numbers on: found, shrunk, and told by its operation."""
    engines.ask("torch", "sabotage", source=SABOTAGE)
    try:
        cases = [case for case in (draw_case(seed, "cumsum") for seed in range(150)) if case.dtype == "float32"]
        answers = work.answers(cases, engines, frozenset(["torch"]))
        wrong = [case for case, each in zip(cases, answers, strict=True) if each[TORCH.id]["status"] == "exceeds"]
        assert wrong
        case = min(wrong, key=lambda case: case.arrays["x"].size)
        small = shrink.shrink(case, shrink.smaller_cases, lambda one: findings.failing(one, TORCH, engines) is not None)
        assert small.arrays["x"].shape[-1] == 513
    finally:
        engines.close()


@pytest.mark.full
@pytest.mark.catalogue
def test_a_fault_of_an_engine_is_found_and_the_engine_is_whole_again(engines: Engines) -> None:
    """A campaign that finds nothing in an engine that is wrong says nothing of one that is right."""
    fault = next(each for each in sabotage.FAULTS if each.name == "torch.var where True")
    outcome = sabotage.find(fault, engines, 2000)
    assert outcome.found, outcome.why
    harmless = fault._replace(where="False")
    assert not sabotage.find(harmless, engines, outcome.operations).found


def failing_operation(name: str, expression: str) -> Case:
    """An operation that does something to the process of its engine."""
    entry = OPERATIONS["relu"]
    OPERATIONS[name] = replace(entry, name=name, forms={"torch": expression}, per_row=False)
    return Case(1, name, "float32", {"x": np.ones(3)}, {})


@pytest.mark.full
@pytest.mark.parametrize(
    "expression, status, says",
    [
        ("__import__('os').kill(__import__('os').getpid(), 9)", "crash", "signal 9"),
        pytest.param("__import__('time').sleep(600)", "hang", "", marks=pytest.mark.catalogue),
        pytest.param("torch.ones(2**30).sum()", "crash", "memory limit", marks=pytest.mark.catalogue),
    ],
)
def test_what_takes_an_engine_along_costs_its_own_answer_alone(expression: str, status: str, says: str) -> None:
    """A crash, a hang and too much memory are answers of their own; the others of the same batch are judged."""
    pytest.importorskip("torch")
    good, bad = case_of_relu(), failing_operation("bad", expression)
    engines = Engines(pool=Pool(parallel=1, limits=Limits(start=300.0, call=12.0, memory=3 * 2**30)))
    try:
        found = [each[TORCH.id] for each in work.answers([good, bad, good], engines, frozenset(["torch"]))]
        assert [each["status"] for each in found] == ["ok", status, "ok"]
        assert says in found[1]["says"]
    finally:
        engines.close()
        del OPERATIONS["bad"]


def case_of_relu() -> Case:
    return Case(1, "relu", "float32", {"x": np.array([-1.0, 2.0])}, {})


@pytest.mark.full
@pytest.mark.catalogue
def test_a_killed_campaign_goes_on_and_judges_nothing_twice(tmp_path: Path) -> None:
    """kill -9 of the command itself: every line it wrote is there, and the rest is done by the same command."""
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "suites.campaign", "--backend=torch", "--networks=0", "--operations=400"]
    command += ["--no-shrink", f"--results={tmp_path}"]
    path = tmp_path / "campaign.jsonl"
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while first.poll() is None and not (path.exists() and path.read_bytes().count(b"\n") > 80):
        time.sleep(0.05)
    first.kill()
    first.wait()
    before = [store.key(each) for each in store.read(path)]
    assert 80 < len(before) < 400
    subprocess.run([*command, "--resume"], cwd=ROOT, check=False, capture_output=True)
    after = [store.key(each) for each in store.read(path)]
    assert after[: len(before)] == before
    assert sorted(seed for _, seed, _ in after) == list(range(400))


def test_releases_are_compared_case_by_case() -> None:
    """What a newer release mends, or breaks, is told by its seed."""
    here = {**record(3), "about": "jax", "results": {"jax-jax-eager": {"status": "ok"}}}
    there = {**record(3), "about": "jax==0.9.2", "results": {"jax-jax-eager": {"status": "exceeds"}}}
    other = {**record(4), "about": "jax", "results": {"jax-jax-eager": {"status": "exceeds"}}}
    lines = against.differences([here, there, other], "jax", "jax==0.9.2")
    assert lines == ["operation 3 sum jax-jax-eager: ok here, exceeds in jax==0.9.2"]


@pytest.mark.full
def test_a_cluster_on_the_loopback_address_survives_its_workers(tmp_path: Path) -> None:
    """Scheduler and workers started by hand; workers are killed at work, and nothing is lost or done twice."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host=127.0.0.1", f"--port={port}"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads=1", "--no-dashboard"]
    running = [subprocess.Popen([*scheduler, "--no-dashboard"], env=environment, stderr=subprocess.DEVNULL)]
    try:
        time.sleep(3)

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen([*worker, "--no-nanny"], env=environment, stderr=subprocess.DEVNULL)

        running += [start(), start()]
        client = runner.connect(address, 2)
        client.wait_for_workers(2, timeout=60)
        killed = 0

        def kill(progress: runner.Progress) -> None:
            nonlocal killed
            if progress.records > 40 * (killed + 1) and killed < 2:
                killed += 1
                running[killed].send_signal(signal.SIGKILL)
                running.append(start())

        with store.Store(tmp_path / "store.jsonl") as kept:
            runner.run(runner.Plan(0, 150, 0), kept, client, kill, do=pretend)
        client.close()
        assert killed == 2
        assert sorted(each["seed"] for each in store.read(tmp_path / "store.jsonl")) == list(range(150))
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_a_summary_counts_what_was_planned() -> None:
    """Undecided is no pass, and a refusal that is known is no alarm."""
    outcomes = {
        "torch-torch-eager": {"status": "ok", "ratio": 0.4},
        "jax-jax-eager": {"status": "undecided", "ratio": None},
        "keras-jax-eager": {"status": "exceeds", "ratio": 1e9, "condition": "rounding", "phase": "steps"},
    }
    found = summary.summarise([{**record(1), "results": outcomes}])
    assert found["realisations"] == 3
    assert {"keras", "torch", "jax"} >= set(found["versions"])
    assert found["judged"] == 2
    assert found["statuses"] == {"ok": 1, "undecided": 1, "exceeds": 1}
    assert found["alarms"] == {"sum keras jax float32 exceeds": 1}
    assert "not looked into: sum keras jax" in summary.text(found)


def test_values_are_numbers_that_float32_has() -> None:
    """Float32 and float64 realisations have to see the same inputs."""
    for kind in generator.FILLS:
        x = values.fill(np.random.default_rng(1), kind, (50,))
        assert (x == x.astype(np.float32)).all()
