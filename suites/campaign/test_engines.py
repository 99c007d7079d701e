"""A campaign with engines: the oracle, a kernel that is wrong, an engine that dies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from suites.campaign import findings, generator, judge, sabotage, shrink, substitutes, work
from suites.campaign.cases import Case, draw_case
from suites.campaign.engines import Engines, Realisation
from suites.campaign.operations import OPERATIONS
from suites.campaign.test_draws import has_layer
from suites.runner.workers import Limits, Pool

KERAS_ON_TENSORFLOW = Realisation("keras", "tensorflow", "eager")
TORCH = Realisation("torch", "torch", "eager")


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
    dense = [n for n in map(generator.draw, range(40)) if has_layer(n, "Dense") and n.dtype == "float64"][:2]
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
@pytest.mark.one_in(9)
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
