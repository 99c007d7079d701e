"""The PyTorch and JAX programs compute the same numbers, through the workers that serve them."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from impls import BACKENDS, MODELS, protocol
from impls import weights as canonical_weights
from impls.datasets import DATASETS

ROOT = Path(__file__).resolve().parents[2]
GRADIENT_BOUND, TRAINING_BOUND = 1e-13, 1e-12  # normwise, float64
# The equivalence suite holds the same cells against the oracle, in CI too.
pytestmark = [pytest.mark.full, pytest.mark.catalogue]

CELLS = {"raw_torch": "torch", "torch_native": "torch", "raw_jax": "jax"}


class Worker:
    """One worker process of this test, eager PyTorch or compiled JAX, in float64."""

    def __init__(self, implementation, device="cpu"):
        backend = CELLS[implementation]
        if importlib.util.find_spec(BACKENDS[backend].module) is None:
            pytest.skip(f"{implementation} needs {backend}, which is not installed")
        mode = {"torch": "eager", "jax": "jit"}[backend]
        command = f"-m impls.worker --implementation {implementation} --backend {backend} --mode {mode}"
        command += f" --device {device} --dtype float64"
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, *command.split()], stdin=pipe, stdout=pipe, cwd=ROOT)
        self.started = None

    def __call__(self, op, arrays=None, **arguments):
        self.started = self.started or self.reply()
        protocol.write(self.process.stdin, dict(arguments, op=op), arrays or {})
        body, answer = self.reply()
        assert body["ok"], body
        return body["result"], answer

    def reply(self):
        return protocol.read(self.process.stdout)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(20)


class Workers(dict):
    """Workers by implementation, each started when it is first asked for."""

    def __missing__(self, implementation):
        self[implementation] = Worker(implementation)
        return self[implementation]


@pytest.fixture(scope="module")
def workers():
    started = Workers()
    yield started
    for worker in started.values():
        worker.close()


def batches(model, count):
    """`count` batches of real data and a ragged one."""
    spec = MODELS[model]
    data, size = DATASETS[spec.datasets["small"]](), spec.batch_size["small"]
    order = np.random.RandomState(1).randint(0, len(data.x), count * size + 5)
    return data.x[order], data.y[order], size


def opened(worker, model, **changed):
    """`worker` with `model` open at the canonical weights, which it returns."""
    weights = {**canonical_weights.canonical(MODELS[model].at("small")), **changed}
    worker("open", weights, model=model, size="small")
    return weights


def disagreement(found, expected):
    """The largest normwise relative difference, and where it is."""
    assert found.keys() == expected.keys()
    assert all(found[name].shape == expected[name].shape for name in found)
    worst = max(found, key=lambda name: relative(found[name], expected[name]))
    return relative(found[worst], expected[worst]), worst


def relative(a, b):
    return np.linalg.norm(a - b) / (np.linalg.norm(b) or 1)


def forward_and_gradients(worker, model):
    """Activations in both phases and every gradient; the model's weights must be as they were afterwards."""
    weights = opened(worker, model)
    x, y, size = batches(model, 1)
    x, y = x[:size], y[:size]
    found = {}
    for training in (False, True):
        found.update(
            (f"{name} {training=}", a) for name, a in worker("forward", {"x": x}, training=training)[1].items()
        )
    found.update(worker("gradients", {"x": x, "y": y})[1])
    after = worker("weights")[1]
    assert after.keys() == weights.keys()
    assert all(np.array_equal(after[name], weights[name]) for name in weights), "changed by looking"
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("implementation", ["raw_jax", "torch_native"])
def test_every_activation_gradient_and_cotangent_is_that_of_raw_torch(workers, implementation, model):
    expected = forward_and_gradients(workers["raw_torch"], model)
    worst, where = disagreement(forward_and_gradients(workers[implementation], model), expected)
    assert worst < GRADIENT_BOUND, where


@pytest.mark.parametrize("model", MODELS)
def test_twenty_steps_leave_the_same_weights_statistics_and_slots(workers, model):
    x, y, size = batches(model, 19)
    results = []
    for implementation in ("raw_torch", "raw_jax"):
        opened(workers[implementation], model)
        answer, arrays = workers[implementation]("train", {"x": x, "y": y}, batch_size=size)
        results.append({"losses": np.array(answer["losses"]), **arrays})
    worst, where = disagreement(*results)
    assert worst < TRAINING_BOUND, where


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("implementation", CELLS)
def test_fit_is_the_same_steps_from_a_fresh_optimizer(workers, implementation, model):
    """The epoch's loss weights a ragged last batch by its length."""
    worker, (x, y, size) = workers[implementation], batches(model, 3)
    opened(worker, model)
    losses = worker("train", {"x": x, "y": y}, batch_size=size)[0]["losses"]
    stepped = worker("weights")[1]
    opened(worker, model)
    worker("fit", {"x": x, "y": y}, epochs=2, batch_size=size)  # leaves an optimizer that is not fresh
    opened(worker, model)
    (loss,) = worker("fit", {"x": x, "y": y}, epochs=1, batch_size=size)[0]["losses"]
    assert loss == pytest.approx(np.average(losses, weights=[size, size, size, 5]), rel=GRADIENT_BOUND)
    assert disagreement(worker("weights")[1], stepped)[0] < GRADIENT_BOUND


@pytest.mark.parametrize("implementation", CELLS)
def test_relu_has_gradient_zero_at_zero(workers, implementation):
    opened(workers[implementation], "seed", **{"hidden/bias": np.zeros(8)})
    found = workers[implementation]("gradients", {"x": np.zeros((32, 4)), "y": np.ones((32, 1))})[1]
    assert found["cotangent/hidden"].any()
    assert not found["gradient/hidden/bias"].any()


@pytest.mark.parametrize("implementation", ["raw_torch", "raw_jax"])
def test_a_gpu_that_is_not_there_is_one_clear_line(implementation):
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a GPU")
    worker = Worker(implementation, device="gpu")
    body, _ = worker.reply()
    worker.close()
    assert not body["ok"]
    assert "'gpu' is not there" in body["message"] and "cpu" in body["message"]
