"""The plan of the rounds is fair, warm-up is found where it ends, and specified work is the work that is counted."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest

from impls import MODELS
from suites.records.run import Cell
from suites.runner.remote_model import RemoteModel
from suites.runner.stages import first_batch, opened
from suites.runner.workers import Role, Worker
from suites.speed import cold_start, flops
from suites.speed.rounds import Arm, Settings, measure, orders
from suites.speed.warmup import warm_after


@pytest.mark.parametrize("arms", [2, 5, 12])
def test_every_arm_has_every_place_and_every_predecessor(arms: int) -> None:
    """An arm that always came last, or always behind the same neighbour, would be measured in another machine."""
    rounds = list(islice(orders(arms, np.random.default_rng(1)), 2 * arms))
    places = Counter((arm, place) for order in rounds for place, arm in enumerate(order))
    assert set(places.values()) == {2} and len(places) == arms * arms
    follows = Counter(pair for order in rounds for pair in pairwise(order))
    assert set(follows.values()) == {2} and len(follows) == arms * (arms - 1)


@pytest.mark.parametrize(("seconds", "calls", "iterations"), [(1.0, 2, 1), (0.03, 4, 1), (0.002, 22, 10)])
def test_a_call_longer_than_a_block_is_not_made_four_times(seconds: float, calls: int, iterations: int) -> None:
    """An epoch of seconds would be made three times for a count that is one; short calls fill their blocks."""
    asked: list[int] = []

    class Steady(Arm):
        def block(self, what: str, iterations: int, discard: int = 0) -> float:
            asked.append(iterations)
            return seconds * iterations

    arm = Steady(None)  # type: ignore[arg-type]
    arm.warm_up("fit", 0.02)
    assert (sum(asked), arm.iterations) == (calls, iterations)


def noisy(rng: np.random.Generator, levels: list[float]) -> list[float]:
    return [float(level * rng.lognormal(0, 0.1)) for level in levels]


@pytest.mark.parametrize("slow", [0, 1, 4])
def test_warm_up_ends_where_it_ends(slow: int) -> None:
    """Found in nine of ten noisy series; a lone outlier is no warm-up."""
    rng = np.random.default_rng(2)
    found = [warm_after(noisy(rng, [3.0] * slow + [1.0] * 26)) for _ in range(100)]
    assert found.count(slow) >= 90
    assert warm_after([1.0, 1.01, 0.99, 1.0, 9.0, 1.01, 1.0, 0.98, 1.0, 1.02]) == 0


def test_what_keeps_getting_faster_is_not_warm() -> None:
    assert warm_after([8.0, 7.9, 8.1, 8.0, 8.0, 1.0, 1.01, 0.99]) is None


def test_specified_work_by_hand() -> None:
    """A training step of the digits' MLP: three products forward, three and two backward."""
    layers = [2 * 64 * 128, 2 * 128 * 64, 2 * 64 * 10]
    sizes = MODELS["mlp"].sizes["small"]
    assert flops.specified("mlp", sizes, (64,), 64, "predict") == 64 * sum(layers)
    assert flops.specified("mlp", sizes, (64,), 64, "train_step") == 64 * (3 * sum(layers) - layers[0])


@pytest.mark.full
@pytest.mark.parametrize("model", ["seed", "mlp", "cnn"])
@pytest.mark.one_in(3)
def test_specified_work_is_what_torch_counts(model: str) -> None:
    """torch counts products of matrices and convolutions, as the specification does: the numbers are the same."""
    cell = Cell(model, "raw_torch", "torch", "eager", "cpu", "float32")
    (x, y), worker = first_batch(cell), Worker(Role("raw_torch", "torch", "eager", "cpu", "float32"))
    try:
        for what in cold_start.CALLS:
            counted = opened(worker, cell).flops(what, x, y)
            specified = flops.specified(model, MODELS[model].sizes["small"], x.shape[1:], len(x), what)
            assert counted["flops"] == specified
    finally:
        worker.stop()


def test_an_idle_worker_is_idle_and_the_control_needs_no_model() -> None:
    """Two arms of plain NumPy: while one runs, the other one's process uses no processor."""
    workers = [Worker(Role("shim", "numpy", "eager", "cpu", "float32")) for _ in range(2)]
    try:
        for worker in workers:
            RemoteModel(worker).control()
        arms = [Arm(worker, call=call) for worker, call in zip(workers, ("control", "matmul"), strict=True)]
        measure(arms, "predict", Settings(6, 0.02))
        assert [len(arm.seconds) for arm in arms] == [6, 6]
        for arm in arms:
            assert arm.idle_seconds > 0
            assert arm.idle_cpu_seconds < 0.2 * arm.idle_seconds
    finally:
        for worker in workers:
            worker.stop()
