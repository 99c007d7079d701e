"""The draws are what they are called: each looks at what the oracle makes of it, so that none goes blunt unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from impls import MODELS
from suites.equivalence.draws import LONG, Draw, draws, last_scale, long, makers
from suites.runner import plan
from suites.runner.remote_model import RemoteModel
from suites.runner.workers import Arrays, Role, Worker

Found = dict[str, Arrays]  # by draw: activations and gradients of the first batch
OVERFLOW = 710  # exp of more is infinite in float64


@pytest.fixture(scope="module")
def oracle() -> Iterator[Worker]:
    worker = Worker(Role(*plan.ORACLE))
    yield worker
    worker.stop()


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def found(oracle: Worker, model: str) -> Found:
    """What the oracle computes of the first batch of every draw of a model."""
    return {draw.name: first(oracle, draw) for draw in draws(model)}


def first(oracle: Worker, draw: Draw) -> Arrays:
    model = RemoteModel(oracle)
    model.open(draw.model, draw.size, draw.weights)
    return model.gradients(**draw.batches[0])


def some(found: Found, holds: Callable[[str, Arrays], bool]) -> bool:
    """Whether it holds in at least one draw."""
    return any(holds(name, arrays) for name, arrays in found.items())


def equal_in_pairs(logits: np.ndarray) -> bool:
    """Whether two logits of an example are the same."""
    rows = np.sort(logits.reshape(-1, logits.shape[-1]), -1)
    return bool((rows[:, 1:] == rows[:, :-1]).any())


def zeros_before_relu(name: str, arrays: Arrays) -> bool:
    """Inputs of a ReLU that are exactly zero; a fused one shows its output only: there a unit is zero throughout."""
    if "activation/bn1" in arrays:
        return bool((arrays["activation/bn1"] == 0).any())
    return bool((arrays[next(iter(arrays.keys() & {"activation/hidden", "activation/hidden1"}))] == 0).all(0).any())


def tied_maxima(name: str, arrays: Arrays) -> bool:
    """Windows of the pooling with more than one positive maximum."""
    x = arrays["activation/relu1"]
    b, h, w, c = x.shape
    windows = x.reshape(b, h // 2, 2, w // 2, 2, c).swapaxes(2, 3).reshape(b, h // 2, w // 2, 4, c)
    highest = windows.max(3, keepdims=True)
    return bool((((windows == highest) & (highest > 0)).sum(3) > 1).any())


def difficult_channels(name: str, arrays: Arrays) -> bool:
    """One with a mean of 100 deviations, one whose variance is far below epsilon, one without any."""
    x = arrays["activation/conv1"].reshape(-1, arrays["activation/conv1"].shape[-1])
    mean, deviation = np.abs(x.mean(0)), x.std(0)
    small = (deviation > 0) & (deviation < 1e-2)  # its variance is a tenth of BatchNorm's epsilon, or less
    return bool((mean > 100 * deviation)[deviation > 0].any() and small.any() and (deviation == 0).any())


def test_every_model_meets_saturated_and_equal_logits_and_tiny_gradients(model: str, found: Found) -> None:
    assert some(found, lambda name, arrays: bool(np.abs(arrays["activation/logits"]).max() > OVERFLOW))
    assert model == "seed" or some(found, lambda name, arrays: equal_in_pairs(arrays["activation/logits"]))
    layers = MODELS[model].at("small")
    not_below = {last_scale(layers).partition("/")[0]}  # the layer whose scale is tiny, and a table tied to the head
    if layers[-1].kind == "tied_head":
        not_below.add(layers[0].name)
    gradients = [name for name in found["ragged"] if name.startswith("gradient/")]
    below = next((name for name in gradients if name.split("/")[1] not in not_below), None)
    if below is None:
        return  # a model of one layer has none below it
    usual, tiny = (float(np.linalg.norm(found[name][below])) for name in ("ragged", "tiny gradients"))
    assert 0 < tiny < 1e-4 * usual


def test_every_model_meets_a_ragged_batch_and_extents_that_differ_or_do_not(model: str) -> None:
    drawn = {draw.name: draw for draw in draws(model)}
    assert len(drawn["ragged"].batches[-1]["x"]) < len(drawn["ragged"].batches[0]["x"])
    extents = [set(weight.shape) for weight in drawn["square"].weights.values() if weight.ndim == 2]
    assert any(len(extent) == 1 for extent in extents)  # a square kernel
    for draw in drawn.values():
        assert all(np.any(value != 0) for name, value in draw.weights.items() if name.endswith("bias"))


def test_relu_meets_its_kink(model: str, found: Found) -> None:
    if not any("relu" in (layer.kind, layer.activation) for layer in MODELS[model].at("small")):
        pytest.skip(f"{model} has no ReLU")
    assert some(found, zeros_before_relu)


def test_images(oracle: Worker) -> None:
    """Ties for the pooling, difficult channels for BatchNorm, sides that differ, and even ones under a stride of 2."""
    found = {draw.name: first(oracle, draw) for draw in draws("cnn")}
    assert tied_maxima("ties", found["ties"])
    assert difficult_channels("channels", found["channels"])
    height, width = found["ragged"]["activation/pool1"].shape[1:3]
    assert height != width and height % 2 == width % 2 == 0


def test_batch_equals_time() -> None:
    """Where a swap of the two axes changes no shape."""
    assert any(draw.x.ndim == 2 and draw.x.shape[1] == draw.batch for draw in draws("rnn"))


def test_a_schedule_decays() -> None:
    """In the steps of the long draw the rate changes by percents: one that stays as it was shows."""
    known = MODELS["cnn"].optimizer
    assert long in makers("cnn")
    assert known["decay_rate"] ** (LONG / known["decay_steps"]) < 0.95
