"""The causes that `impls.model_differences` names are the causes: a small diff brings each departure about, or ends it.

On TensorFlow the diff goes into our own program: with Keras's rounding planted it computes what Keras computes. On
PyTorch and JAX it goes into the installed Keras: with one entry of its table of types changed it computes what the
oracle computes.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from impls import MODELS
from impls.model_differences import DEPARTURES, explanation
from suites.equivalence.compare import AGREEMENT, normwise, phase
from suites.records.run import Cell
from suites.runner import plan, stages
from suites.runner.availability import availability
from suites.runner.machine import ROOT
from suites.runner.remote_model import RemoteModel
from suites.runner.workers import HERE, Arrays, Pool, Role, Source, WorkerRaised

POWERS = {
    "old": "alpha = LEARNING_RATE * tf.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)",
    "new": "alpha = LEARNING_RATE * tf.sqrt(1 - float(np.float32(BETA_2))**t) / (1 - float(np.float32(BETA_1))**t)",
}
SCHEDULE = {
    "old": "rate = LEARNING_RATE * DECAY_RATE ** (step / DECAY_STEPS)",
    "new": "MOMENTUM = float(np.float32(0.9))\n"
    "    rate = tf.cast(LEARNING_RATE * DECAY_RATE ** (tf.cast(step, tf.float32) / DECAY_STEPS), step.dtype)",
}
NORM = {
    "old": "[tf.convert_to_tensor(g) for g in gradients.values()], CLIP_NORM)",
    "new": "list(gradients.values()), CLIP_NORM)\n    clipped = [tf.convert_to_tensor(g) for g in clipped]",
}
DIFFS = {"seed": POWERS, "mlp": POWERS, "cnn": SCHEDULE, "rnn": NORM}
TYPES = {
    "file": "keras/src/backend/common/dtypes.py",
    "old": '"float64": "float64" if config.backend() == "tensorflow" else "float32",',
    "new": '"float64": "float64",',
}
RELEASED = {known.released for (implementation, _, _), known in DEPARTURES.items() if implementation == "tf_keras"}
MODES = {"tensorflow": "graph", "torch": "eager", "jax": "jit"}
STAGES = {"gradients": stages.gradients, "trajectory": stages.trajectory}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool() as pool:
        yield pool


def keras_on(backend: str, source: Source = HERE) -> Role:
    """The worker of the Keras programs; skips where they can't run or another Keras is installed."""
    if reason := availability("tf_keras", backend):
        pytest.skip(reason)
    installed = f"keras {importlib.metadata.version('keras')}"
    if {installed} != RELEASED:
        pytest.skip(f"the departures are those of {', '.join(RELEASED)}, here is {installed}")
    return Role("tf_keras", backend, MODES[backend], source=source)


def repaired() -> Source:
    """This project's code, and Keras with one entry of its table changed."""
    found = importlib.util.find_spec("keras")
    assert found is not None and found.origin is not None
    folder = Path(found.origin).parent.parent
    return Source(root=folder, environment={"PYTHONPATH": str(ROOT)}, patch=TYPES)


def shown(pool: Pool, role: Role, model: str, stage: str) -> Arrays:
    return STAGES[stage](pool.serving(role), Cell(model, *role[:5], "small"))


def disagreements(found: Arrays, truth: Arrays) -> dict[str, float]:
    assert found.keys() == truth.keys()
    return {name: normwise(found[name], truth[name]) for name in truth}


def explained(role: Role, model: str, errors: dict[str, float], steps: int) -> None:
    """Every tensor is within the bound of its phase, and some are beyond the general one: the departure is there."""
    for name, error in errors.items():
        known = explanation(role.implementation, role.backend, model, phase(name), steps)
        bound = AGREEMENT if known is None else known.bound
        assert bound is None or error <= bound, f"{name}: {error:.1e}, bound {bound:.1e}"
    assert max(errors.values()) > 100 * AGREEMENT, "it does not depart any more: take the entry out"


@pytest.mark.full
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.one_in(7)
def test_our_program_with_the_rounding_of_keras_is_keras(pool: Pool, model: str) -> None:
    """20 steps on TensorFlow: far from the oracle, and where our own program comes to with the cause planted in it."""
    if model not in DIFFS:
        pytest.skip(f"no diff of impls/{model}/raw_tf.py rounds as Keras does: add one to DIFFS")
    keras = keras_on("tensorflow")
    planted = pool.worker("raw_tf", "tensorflow", "graph")
    RemoteModel(planted).plant([{"file": f"impls/{model}/raw_tf.py", **DIFFS[model]}])
    departing = shown(pool, keras, model, "trajectory")
    same = disagreements(shown(pool, planted.role, model, "trajectory"), departing)
    assert max(same.values()) <= AGREEMENT, max(same, key=lambda name: same[name])
    truth = shown(pool, Role(*plan.ORACLE), model, "trajectory")
    explained(keras, model, disagreements(departing, truth), stages.STEPS)


def departing() -> Iterator[Any]:
    """Keras on the engines whose table of types it rounds by; all but the smallest model are left out of CI."""
    for implementation, backend, model in DEPARTURES:
        if implementation == "tf_keras" and backend != "tensorflow":
            yield pytest.param(backend, model, marks=[] if model == "seed" else [pytest.mark.catalogue])


@pytest.mark.full
@pytest.mark.parametrize("backend, model", [*departing()])
@pytest.mark.catalogue
def test_keras_with_float64_in_its_table_is_exact(pool: Pool, backend: str, model: str) -> None:
    """As released it departs from the oracle within its bound; with float64 promoted to float64 it is the oracle's."""
    if backend == "jax" and "attention" in {layer.kind for layer in MODELS[model].at("small")}:
        pytest.skip("jax.nn.dot_product_attention takes its softmax in float32, whatever Keras's table says")
    released, changed, oracle = keras_on(backend), keras_on(backend, repaired()), Role(*plan.ORACLE)
    stage, steps = ("trajectory", stages.STEPS) if backend == "torch" else ("gradients", 1)  # JAX compiles 10 s a step
    truth = shown(pool, oracle, model, stage)
    explained(released, model, disagreements(shown(pool, released, model, stage), truth), steps)
    errors = disagreements(shown(pool, changed, model, stage), truth)
    assert max(errors.values()) <= AGREEMENT, max(errors, key=lambda name: errors[name])


@pytest.mark.parametrize(
    "implementation, old, new, says",
    [
        pytest.param(
            "raw_tf",
            'relu(batchnorm(params, "bn1", conv2d(params, "conv1", x), training))',
            "batchnorm(params, 'bn1', conv2d(params, 'conv1', x), training)",
            "call 2 of this program is a 'maxpool2d'",
            marks=pytest.mark.full,
        ),
        ("tf_keras", 'layers.ReLU(name="relu1"),', "", "computes no layer named relu1"),
    ],
)
def test_a_program_without_a_layer_of_its_spec_is_refused(
    pool: Pool, implementation: str, old: str, new: str, says: str
) -> None:
    """Activations and cotangents under another layer's name would send whoever debugs to the wrong place."""
    if reason := availability(implementation, "tensorflow"):
        pytest.skip(reason)
    worker = pool.worker(implementation, "tensorflow", "graph")
    RemoteModel(worker).plant([{"file": f"impls/cnn/{implementation}.py", "old": old, "new": new}])
    try:
        with pytest.raises(WorkerRaised, match=says):
            shown(pool, worker.role, "cnn", "gradients")
    finally:
        RemoteModel(worker).plant([])
