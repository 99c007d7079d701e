"""The shim on a GPU: every layer and optimizer gives NumPy's float64 numbers, and what goes in and out is the same.

Skipped where there is none. `python -m suites.speed.gpu_check` runs these with its other checks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.piped import Piped
from impls.shim.testing import peer

BOUND = 1e-12  # as in test_equality
FORMS = (("torch", "eager"), ("torch", "graph"), ("jax", "jit"))


def _torch_sees_one() -> bool:
    torch = pytest.importorskip("torch")
    return bool(torch.cuda.is_available())


def _jax_sees_one() -> bool:
    jax = pytest.importorskip("jax")
    return bool(jax.default_backend() == "gpu")


SEES = {"torch": _torch_sees_one, "jax": _jax_sees_one}


@pytest.fixture(autouse=True, scope="module")
def no_hoarding() -> None:
    """JAX takes three quarters of a GPU's memory when it starts, which other processes here need."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("XLA_FLAGS", "--xla_gpu_autotune_level=0")  # a case runs twice: tuning it takes longer


class Peer(Piped):
    """A process that computes cases on one backend and the GPU."""

    def __init__(self, backend: str) -> None:
        super().__init__([sys.executable, "-m", "impls.shim.testing.peer", backend], {})


@pytest.fixture(scope="module")
def peers() -> Iterator[dict[str, Peer]]:
    running = {backend: Peer(backend) for backend, sees in SEES.items() if sees()}
    yield running
    for started in running.values():
        started.close()


def agree(case: dict[str, Any], backend: str, peers: dict[str, Peer]) -> None:
    """The GPU's answer is NumPy's, array by array, in the 2-norm."""
    if backend not in peers:
        pytest.skip(f"{backend} finds no GPU")
    expected = peer.compute({**case, "mode": None, "device": "cpu"}, "numpy")
    peers[backend].send(case)
    _, found = peers[backend].answer()
    assert found.keys() == expected.keys()
    for name, truth in expected.items():
        error = float(np.linalg.norm(np.ravel(found[name] - truth)))
        assert error <= BOUND * max(float(np.linalg.norm(np.ravel(truth))), 1e-3), f"{name}: {error} in {case}"


SHAPES = {1: [5], 2: [5, 4], 3: [6, 5, 2]}
LOSSES = ("mean_squared_error", "huber", "mean_absolute_error", "sigmoid_cross_entropy")


@pytest.mark.parametrize(("backend", "mode"), FORMS)
@pytest.mark.parametrize("layers", sorted(peer.CASES))
def test_layers(layers: str, backend: str, mode: str, peers: dict[str, Peer]) -> None:
    """Two steps, an epoch with a ragged batch, a prediction and an evaluation; each with another loss and optimizer."""
    at = sorted(peer.CASES).index(layers)
    optimizers = sorted(peer.OPTIMIZERS)
    case = {
        "layers": layers, "shape": SHAPES[peer.CASES[layers][0]], "count": 5, "stride": 1 + at % 2, "window": 2,
        "seed": at, "loss": LOSSES[at % len(LOSSES)], "optimizer": optimizers[at % len(optimizers)],
        "weighted": bool(at % 2), "behind": not layers.startswith("masked"), "whole": backend == "torch",
        "mode": mode, "device": "gpu",
    }  # fmt: skip
    agree(case, backend, peers)


@pytest.mark.parametrize(("backend", "mode"), FORMS)
@pytest.mark.parametrize("optimizer", sorted(peer.OPTIMIZERS))
def test_optimizers(optimizer: str, backend: str, mode: str, peers: dict[str, Peer]) -> None:
    case = {
        "layers": "relu", "shape": [4], "count": 5, "stride": 1, "window": 2, "seed": 2,
        "loss": "softmax_cross_entropy", "optimizer": optimizer, "weighted": False, "whole": True,
        "mode": mode, "device": "gpu",
    }  # fmt: skip
    agree(case, backend, peers)


def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(0)
    return rng.normal(size=(70, 8, 8, 2)).astype("float32"), rng.randint(0, 3, 70)


def picture_model(backend: str, device: str, mode: str | None, dtype: str = "float32") -> Any:
    layers = [
        shim.Conv2D(4, 3, padding="same"), shim.BatchNorm(0.9), shim.ReLU(), shim.MaxPool2D(2), shim.Flatten(),
        shim.Dropout(0.2), shim.Dense(3),
    ]  # fmt: skip
    model = shim.Sequential(layers, inputs=(8, 8, 2), backend=backend, device=device, mode=mode, dtype=dtype)
    rate = shim.ExponentialDecay(0.01, 5, 0.9)
    model.compile(optimizer=shim.Adam(rate, global_clipnorm=1.0), loss="softmax_cross_entropy", metrics=("accuracy",))
    return model


@pytest.mark.parametrize(("backend", "mode"), [*FORMS, ("torch", "auto"), ("jax", "auto")])
@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16", "mixed_float16"])
def test_a_training_with_everything_goes_on_where_it_was_saved(
    backend: str, mode: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Augmentation, validation, callbacks, weights of classes, a file, and a move to the CPU and back."""
    if not SEES[backend]():
        pytest.skip(f"{backend} finds no GPU")
    if mode == "auto" and dtype != "mixed_bfloat16":
        pytest.skip("once is enough: it compiles every mode")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (x, y), file = images(), tmp_path / "model.npz"
    options: dict[str, Any] = {
        "batch_size": 16,
        "augment": shim.Augment(flip=True, shift=1),
        "class_weight": {0: 1.0, 1: 2.0, 2: 1.0},
    }
    whole = picture_model(backend, "gpu", mode, dtype)
    stopping = shim.EarlyStopping(patience=9, restore_best_weights=False)
    callbacks = [shim.Checkpoint(file), stopping]
    first = whole.fit(x, y, epochs=3, validation_split=0.2, callbacks=callbacks, **options)
    expected = whole.fit(x, y, epochs=6, resume=True, validation_split=0.2, **options)
    resumed = picture_model(backend, "gpu", mode, dtype)
    resumed.load(file)
    found = resumed.fit(x, y, epochs=6, resume=True, validation_split=0.2, **options)
    unit = {"float64": 2.0**-53, "mixed_bfloat16": 2.0**-8, "mixed_float16": 2.0**-11}[dtype]
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1024 * unit)
    assert np.isfinite(first["loss"]).all() and len(expected["val_accuracy"]) == 3
    outputs = whole.predict(x[:9])
    first_mode = "eager" if backend == "torch" else "jit"
    on_cpu = whole.to(device="cpu", mode=first_mode).predict(x[:9])
    np.testing.assert_allclose(on_cpu, outputs, rtol=4096 * unit, atol=4096 * unit)
    back = whole.to(device="gpu", mode=mode).predict(x[:9])
    np.testing.assert_allclose(back, outputs, rtol=1024 * unit, atol=1024 * unit)


@pytest.mark.parametrize(("backend", "mode"), FORMS)
def test_an_estimator_trains_there(backend: str, mode: str) -> None:
    pytest.importorskip("sklearn")
    if not SEES[backend]():
        pytest.skip(f"{backend} finds no GPU")
    rng = np.random.RandomState(0)
    y = rng.randint(0, 3, 90)
    X = rng.normal(0, 0.3, (90, 4)) + np.eye(3, 4)[y] * 2
    scores = {
        device: shim.Classifier(backend=backend, device=device, mode=mode if device == "gpu" else None, epochs=30)
        .fit(X, y)
        .predict_proba(X)
        for device in ("cpu", "gpu")
    }
    np.testing.assert_allclose(scores["gpu"], scores["cpu"], rtol=1e-6, atol=1e-6)
