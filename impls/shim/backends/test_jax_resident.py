"""JAX on a GPU, seen without one: the forms that keep rates and counters on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from impls import shim
from impls.shim.testing import peer

jax = pytest.importorskip("jax")

from impls.shim.backends import jax as jax_backend  # noqa: E402
from impls.shim.backends import jax_resident  # noqa: E402


def trained(optimizer: str) -> dict[str, Any]:
    """A model after epochs with a ragged batch and a rate that a callback changes, steps, and epochs from the start."""
    layers = [shim.Dense(4, "tanh"), shim.Dropout(0.3), shim.Dense(2)]
    model = shim.Sequential(layers, inputs=(3,), backend="jax", dtype="float64")
    rng = np.random.RandomState(0)
    x, y = rng.normal(size=(14, 3)), rng.normal(size=(14, 2))
    model.compile(optimizer=peer.OPTIMIZERS[optimizer](), loss="mean_squared_error", metrics=("mean_absolute_error",))
    slower = shim.LearningRate(lambda epoch: 0.05 * 0.5**epoch)
    found: dict[str, Any] = model.fit(x, y, epochs=3, batch_size=3, callbacks=[slower])
    found["steps"] = [model.train_on_batch(x[:3], y[:3]) for _ in range(6)]
    model.compile(optimizer=peer.OPTIMIZERS[optimizer](), loss="mean_squared_error", metrics=("mean_absolute_error",))
    found["again"] = [model.train_on_batch(x, y) for _ in range(3)]
    return {**found, **model.get_weights(), **model.get_slots()}


@pytest.fixture
def resident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax_resident, "on_gpu", lambda carry: True)
    monkeypatch.setattr(jax_resident, "AHEAD", 4)


@pytest.mark.full
@pytest.mark.parametrize("optimizer", ["nesterov", "adamw"])
@pytest.mark.one_in(2)
def test_the_forms_for_a_gpu_train_as_the_others(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter that is one off, or a rate that stays behind a callback, trains another model."""
    expected = trained(optimizer)
    monkeypatch.setattr(jax_resident, "on_gpu", lambda carry: True)
    monkeypatch.setattr(jax_resident, "AHEAD", 4)
    found = trained(optimizer)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=256 * 2.0**-53, atol=256 * 2.0**-53, err_msg=name)


def test_nothing_crosses_to_the_device_with_a_step(resident: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy of one number took longer than a small step on the first GPU."""
    monkeypatch.setattr(jax_resident, "AHEAD", 64)
    model = shim.Sequential([shim.Dense(4, "tanh"), shim.Dense(1)], inputs=(3,), backend="jax")
    model.compile(optimizer=shim.Adam(shim.ExponentialDecay(0.1, 2, 0.5)), loss="mean_squared_error")
    x = np.ones((4, 3), np.float32)
    model.ready(x)
    native = model.native(x), model.native(x[:, :1])
    model.step(*native)
    with jax.transfer_guard("disallow"):
        for _ in range(5):
            value = model.step(*native)
    assert np.isfinite(float(value))


def test_the_guard_sees_a_number_that_crosses() -> None:
    """Without this the test above could not fail."""
    call = jax.jit(lambda x, rate: x * rate)
    x = jax.numpy.ones(3)
    call(x, 0.5)
    with jax.transfer_guard("disallow"), pytest.raises(RuntimeError, match="Disallowed host-to-device transfer"):
        call(x, 0.25)


def zeros(aligned: bool) -> np.ndarray:
    """32 MB, which JAX on a CPU takes as they are where 64 divides their address, else copies while others go on."""
    memory = np.zeros((1 << 23) + 32, np.float32)
    start = -memory.ctypes.data // 4 % 16 + (0 if aligned else 4)
    return memory[start : start + (1 << 23)]


@pytest.mark.parametrize("aligned", [True, False])
def test_the_memory_of_a_batch_may_be_used_again(aligned: bool) -> None:
    """A generator that fills one array with each batch trained on mixtures of batches, without a word."""
    batch = zeros(aligned)
    found = jax_backend.array(batch, "float32")
    batch[:] = 1
    assert not np.asarray(found).any()
